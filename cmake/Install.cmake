# find_package(yeoul), link yeoul::engine.
if(TARGET yeoul_engine)
  include(CMakePackageConfigHelpers)
  install(TARGETS yeoul_engine EXPORT yeoulTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY include/yeoul DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT yeoulTargets NAMESPACE yeoul:: FILE yeoulConfig.cmake
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/yeoul)
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/yeoulConfigVersion.cmake
                                   COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/yeoulConfigVersion.cmake
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/yeoul)
endif()
if(TARGET yeoul_cuda)
  install(TARGETS yeoul_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
if(YEOUL_BUILD_APPS)
  install(TARGETS engine-run engine-serve engine-bench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(DIRECTORY apps/demo/model apps/demo/photos DESTINATION ${CMAKE_INSTALL_DATADIR}/yeoul)
endif()

# What every target is compiled with. Programs run on any x86-64: nothing is built for the machine
# that builds it; hot host loops choose their variant at run time.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# clang has no -Wshadow=local: a plain -Wshadow there would refuse constructor arguments. g++ 12 sees
# overlapping copies (-Wrestrict) in std::string where there are none.
add_library(yeoul_compile INTERFACE)
target_compile_options(yeoul_compile INTERFACE -Wall -Wextra -Wpedantic
                       $<$<CXX_COMPILER_ID:GNU>:-Wshadow=local -Wno-missing-field-initializers -Wno-restrict>
                       $<$<BOOL:${YEOUL_WERROR}>:-Werror>)
if(YEOUL_SANITIZE STREQUAL "address")
  # A target may be compiled without the undefined-behaviour checks, and links with them.
  set(undefined $<$<NOT:$<BOOL:$<TARGET_PROPERTY:YEOUL_WITHOUT_UBSAN>>>:-fsanitize=undefined>)
  set(sanitize -fsanitize=address ${undefined} -fno-sanitize-recover=all -fno-omit-frame-pointer)
elseif(YEOUL_SANITIZE STREQUAL "thread")
  set(sanitize -fsanitize=thread -fno-omit-frame-pointer)
elseif(YEOUL_SANITIZE)
  message(FATAL_ERROR "YEOUL_SANITIZE is '${YEOUL_SANITIZE}', must be empty, address or thread")
endif()
if(YEOUL_SANITIZE)
  target_compile_options(yeoul_compile INTERFACE ${sanitize})
  target_link_options(yeoul_compile INTERFACE ${sanitize}
                      $<$<STREQUAL:${YEOUL_SANITIZE},address>:-fsanitize=undefined>)
endif()

# yeoul_layer(NAME folder...): a static library of all .cpp files of its folders; the public headers
# and the repository root are its include paths.
function(yeoul_layer name)
  set(sources)
  foreach(folder ${ARGN})
    file(GLOB found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp)
    list(APPEND sources ${found})
  endforeach()
  add_library(${name} STATIC ${sources})
  # Eight files at a time, where the preset says so: their headers cost more than they do.
  set_target_properties(${name} PROPERTIES UNITY_BUILD ${YEOUL_UNITY})
  target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                             $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:yeoul_compile>)
endfunction()

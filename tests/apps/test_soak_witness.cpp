#include <doctest/doctest.h>

#include <yeoul/error.h>

#include "apps/bench/soak_witness.h"

using namespace yeoul;
using namespace yeoul::bench;

namespace {

/// What is broken when the driver says these one after the other.
std::set<std::string> broken_by(std::vector<size_t> free_bytes) {
    SoakWitness witness;
    size_t asked = 0;
    witness.watch_free_bytes([&] {
        if (asked == free_bytes.size())
            throw Error(ErrorCode::device_lost, "the GPU is lost");
        return free_bytes[asked++];
    });
    witness.engine_is_ready();
    witness.engine_is_idle();
    return witness.broken_promises();
}

} // namespace

TEST_CASE("bench: soak notices free memory that shrinks, and a driver that says nothing more") {
    CHECK(broken_by({100, 100}).empty());
    CHECK(broken_by({100, 200}).empty());
    CHECK(broken_by({100, 99}).count("free memory of the GPU is flat (of all processes)") == 1);
    const std::set<std::string> lost = broken_by({100});
    REQUIRE(lost.size() == 1);
    CHECK(lost.begin()->find("the GPU is lost") != std::string::npos);
}

TEST_CASE("bench: soak tells what takes memory of a GPU, gives it back or waits for all of it") {
    for (const char* name :
         {"cuMemAlloc_v2", "cuMemAllocAsync_ptsz", "cuMemHostAlloc_v2", "cudaMalloc_v3020",
          "cudaMallocAsync_v11020", "cudaHostAlloc_v3020", "cuMemCreate", "cuMemHostRegister_v2",
          "cuModuleLoadData", "cudaLibraryLoadData_v12060", "cudaGraphInstantiate_v12000"})
        CHECK_MESSAGE(kind_of_driver_call(name) == DriverCall::allocation, name);
    for (const char* name :
         {"cuMemFree_v2", "cudaFree_v3020", "cudaFreeHost_v3020", "cuMemFreeAsync", "cuMemRelease",
          "cuModuleUnload", "cuMemPoolTrimTo", "cudaDeviceReset_v3020"})
        CHECK_MESSAGE(kind_of_driver_call(name) == DriverCall::release, name);
    for (const char* name : {"cuCtxSynchronize", "cudaDeviceSynchronize_v3020"})
        CHECK_MESSAGE(kind_of_driver_call(name) == DriverCall::device_synchronization, name);
    for (const char* name :
         {"cuLaunchKernel", "cudaGraphLaunch_v10000", "cuStreamSynchronize", "cuEventSynchronize",
          "cudaMemGetInfo_v3020", "cuMemGetAllocationGranularity", "cuGraphAddMemAllocNode",
          "cuMemcpyHtoDAsync_v2", "cuMemsetD8Async", "cudaMemPoolSetAttribute_v11020"})
        CHECK_MESSAGE(kind_of_driver_call(name) == DriverCall::other, name);
}

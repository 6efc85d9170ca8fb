// What the host does wrong: launches that no T4 takes, reads before the work is done.
#include "tests/simt/device.h"
#include "tests/simt/faults/kernels.h"

namespace simt::faults {
namespace {

using test::Buffer;
using test::must;
using test::run;
using test::Stream;

__global__ void nothing(float*) {}

__global__ void static_and_dynamic(float* y) {
    SIMT_SHARED(float, large, [10 << 10]);
    large[threadIdx.x] = 1;
    y[threadIdx.x] = large[threadIdx.x];
}
__global__ void large_static(float* y) {
    SIMT_SHARED(float, large, [12 << 10]);
    SIMT_SHARED(float, more, [4]);
    more[0] = large[0] = 1;
    y[0] = more[0];
}

bool launch_one(void (*kernel)(float*), dim3 grid, dim3 block, size_t shared_bytes, bool opt_in) {
    const Buffer<float> y(1024);
    if (opt_in)
        must(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                  cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(shared_bytes)));
    run(kernel, grid, block, shared_bytes, y.data());
    return true;
}

Fault launch_fault(const char* name, void (*kernel)(float*), dim3 grid, dim3 block,
                   size_t shared_bytes = 0, bool opt_in = false) {
    return {name, [=] { return launch_one(kernel, grid, block, shared_bytes, opt_in); }};
}

bool reads_too_early() {
    const Buffer<float> x(std::vector<float>{1});
    float y = 0;
    const Stream stream; // ends, and so runs its work, before they go
    must(cudaMemcpyAsync(&y, x.data(), sizeof y, cudaMemcpyDeviceToHost, stream));
    return y == 1; // cudaStreamSynchronize is missing before this
}

bool frees_too_early() {
    const Stream stream;
    {
        const Buffer<float> x(std::vector<float>(64, 1));
        must(cudaMemsetAsync(x.data(), 0, 64 * sizeof(float), stream));
    }
    must(cudaStreamSynchronize(stream));
    return true;
}

bool copies_too_much() {
    const Stream stream;
    const Buffer<float> x(64);
    float y[65];
    must(cudaMemcpyAsync(y, x.data(), sizeof y, cudaMemcpyDeviceToHost, stream));
    return true;
}

bool frees_twice() {
    void* data = nullptr;
    must(cudaMalloc(&data, 64));
    must(cudaFree(data));
    must(cudaFree(data));
    return true;
}

} // namespace

std::vector<Fault> host_faults() {
    const dim3 one(1);
    return {
        launch_fault("too many threads", nothing, one, dim3(32, 33)),
        launch_fault("no threads", nothing, one, dim3(0)),
        launch_fault("no blocks", nothing, dim3(0), dim3(32)),
        launch_fault("too many blocks", nothing, dim3(1, 65536), dim3(32)),
        launch_fault("shared memory without opt-in", nothing, one, dim3(32), 49153),
        launch_fault("more shared memory than a T4 has", nothing, one, dim3(32), 65537, true),
        launch_fault("static and dynamic shared memory", static_and_dynamic, one, dim3(32),
                     32 << 10),
        launch_fault("static shared memory over 48 KB", large_static, one, dim3(1)),
        {"read without synchronize", reads_too_early},
        {"free before the work ran", frees_too_early},
        {"copy past the end", copies_too_much},
        {"free twice", frees_twice},
    };
}

} // namespace simt::faults

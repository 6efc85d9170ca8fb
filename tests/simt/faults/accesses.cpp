// Accesses out of bounds, misaligned, or to what nobody wrote.
#include <cmath>
#include <vector>

#include "tests/simt/device.h"
#include "tests/simt/faults/kernels.h"

namespace simt::faults {
namespace {

using test::Buffer;
using test::run;

__global__ void global_past_end(const float* x, float* y, int count) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i <= count) // < was meant
        y[i] = x[i];
}

__global__ void static_past_end(const float* x, float* y) {
    SIMT_SHARED(float, tile, [kThreads]);
    tile[threadIdx.x + 1] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x];
}

__global__ void plain_past_end(const float* x, float* y) {
    __shared__ float tile[kThreads];
    tile[threadIdx.x + 1] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x];
}

__global__ void dynamic_past_end(const float* x, float* y) {
    SIMT_DYNAMIC_SHARED(float, tile);
    tile[threadIdx.x + 1] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x];
}

__global__ void misaligned_load(const float* x, float* y) {
    y[threadIdx.x] = reinterpret_cast<const float4*>(x + threadIdx.x)->x;
}

__global__ void misaligned_shared(float* y) {
    SIMT_DYNAMIC_SHARED(float, tile);
    count_shared_access(tile + threadIdx.x, 8);
    y[threadIdx.x] = 0;
}

template <bool dynamic>
__global__ void unwritten(float* y) {
    SIMT_DYNAMIC_SHARED(float, dynamic_tile);
    SIMT_SHARED(float, static_tile, [kThreads]);
    float* tile = dynamic ? dynamic_tile : static_tile;
    if (threadIdx.x != 7)
        tile[threadIdx.x] = 1;
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x];
}

__global__ void copy_first(const float* x, float* y) {
    y[threadIdx.x] = x[threadIdx.x];
}

__global__ void ldmatrix_of_global(const uint4* x, unsigned* y) {
    unsigned fragment[4];
    ldmatrix_x4(fragment, x + threadIdx.x);
    y[threadIdx.x] = fragment[0];
}

// The launches read and write more than enough, so that only the sanitizers may object.
void launch_tile(void (*kernel)(const float*, float*), size_t shared_bytes) {
    const Buffer<float> x(std::vector<float>(2 * kThreads, 1)), y(kThreads);
    run(kernel, dim3(1), dim3(kThreads), shared_bytes, x.data(), y.data());
}

bool all_ones(const Buffer<float>& y) {
    for (float value : y.values())
        if (!(value == 1))
            return false;
    return true;
}

} // namespace

std::vector<Fault> access_faults() {
    const size_t bytes = kThreads * sizeof(float);
    return {
        {"global past the end",
         [] {
             const Buffer<float> x(std::vector<float>(200, 1)), y(300);
             run(global_past_end, dim3(1), dim3(kThreads), 0, x.data(), y.data(), 200);
             return true;
         }},
        {"static shared past the end",
         [] {
             launch_tile(static_past_end, 0);
             return true;
         }},
        {"plain __shared__ past the end",
         [] {
             launch_tile(plain_past_end, 0);
             return true;
         }},
        {"dynamic shared past the end",
         [=] {
             launch_tile(dynamic_past_end, bytes);
             return true;
         }},
        {"misaligned load",
         [] {
             launch_tile(misaligned_load, 0);
             return true;
         }},
        {"misaligned shared access",
         [=] {
             const Buffer<float> y(32);
             run(misaligned_shared, dim3(1), dim3(32), bytes, y.data());
             return true;
         }},
        {"unwritten dynamic shared",
         [=] {
             const Buffer<float> y(kThreads);
             run(unwritten<true>, dim3(1), dim3(kThreads), bytes, y.data());
             return all_ones(y);
         }},
        {"unwritten static shared",
         [] {
             const Buffer<float> y(kThreads);
             run(unwritten<false>, dim3(1), dim3(kThreads), 0, y.data());
             return all_ones(y);
         }},
        {"unwritten global",
         [] {
             const Buffer<float> x(kThreads), y(kThreads);
             run(copy_first, dim3(1), dim3(kThreads), 0, x.data(), y.data());
             return !std::isnan(y.values()[0]);
         }},
        {"ldmatrix of global memory",
         [] {
             const Buffer<uint4> x(32);
             const Buffer<unsigned> y(32);
             run(ldmatrix_of_global, dim3(1), dim3(32), 0, x.data(), y.data());
             return true;
         }},
    };
}

} // namespace simt::faults

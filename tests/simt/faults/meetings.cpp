// Barriers and warp functions that not all named threads reach, or not in the same way.
#include "kernels/cuda/device/mma.cuh"
#include "tests/simt/device.h"
#include "tests/simt/faults/kernels.h"

namespace simt::faults {
namespace {

using test::Buffer;
using test::run;

constexpr unsigned kAll = 0xffffffffu;

__global__ void divergent_barrier(float* y) {
    if (threadIdx.x < 128)
        __syncthreads();
    y[threadIdx.x] = 0;
}
__global__ void barrier_after_return(float* y) {
    if (threadIdx.x == 0)
        return;
    __syncthreads();
    y[threadIdx.x] = 0;
}
__global__ void two_kinds_of_barrier(float* y) {
    y[threadIdx.x] = threadIdx.x < 64 ? static_cast<float>(__syncthreads_or(1))
                                      : static_cast<float>(__syncthreads_and(1));
}
__global__ void barriers_in_two_branches(float* y) {
    if (threadIdx.x < 64)
        __syncthreads();
    else
        __syncthreads();
    y[threadIdx.x] = 0;
}
__global__ void barrier_against_shuffle(float* y) {
    if (threadIdx.x < 16)
        __syncthreads();
    y[threadIdx.x] = __shfl_xor_sync(kAll, 1.0F, 16);
    if (threadIdx.x >= 16)
        __syncthreads();
}
__global__ void divergent_shuffle(float* y) {
    float value = 1;
    if (threadIdx.x % 32 < 16)
        value += __shfl_xor_sync(kAll, value, 1);
    y[threadIdx.x] = value;
}
__global__ void mask_without_caller(float* y) {
    y[threadIdx.x] = __shfl_sync(0x0000ffffu, 1.0F, 0);
}
__global__ void shuffle_from_absent(float* y) {
    if (threadIdx.x % 32 < 16)
        y[threadIdx.x] = __shfl_sync(0x0000ffffu, 1.0F, 20);
}
__global__ void mask_of_returned(float* y) {
    if (threadIdx.x >= 40)
        return;
    y[threadIdx.x] = static_cast<float>(__ballot_sync(kAll, 1));
}
__global__ void different_masks(float* y) {
    const unsigned mask = threadIdx.x % 2 ? kAll : 0x7fffffffu;
    y[threadIdx.x] = __shfl_sync(mask, 1.0F, 0);
}
__global__ void different_functions(float* y) {
    if (threadIdx.x % 2)
        __syncwarp();
    else
        y[threadIdx.x] = __shfl_sync(kAll, 1.0F, 0);
}
__global__ void partial_mma(float* y) {
    float d[4] = {};
    const unsigned a[2] = {};
    mma_m16n8k8(d, a, 0);
    y[threadIdx.x] = d[0];
}
__global__ void partial_ldmatrix(float* y) {
    SIMT_SHARED(uint4, rows, [32]);
    unsigned fragment[2];
    ldmatrix_x2(fragment, rows + threadIdx.x % 32);
    y[threadIdx.x] = static_cast<float>(fragment[0]);
}
__global__ void mma_in_two_branches(float* y) {
    float d[4] = {};
    const unsigned a[2] = {};
    if (threadIdx.x % 32 < 16)
        mma_m16n8k8(d, a, 0);
    else
        mma_m16n8k8(d, a, 1);
    y[threadIdx.x] = d[0];
}
__global__ void ldmatrix_in_two_branches(float* y) {
    SIMT_SHARED(uint4, rows, [32]);
    rows[threadIdx.x % 32] = {};
    __syncthreads();
    unsigned fragment[4];
    if (threadIdx.x % 32 < 16)
        yeoul::cuda::ldmatrix_x4(fragment, rows + threadIdx.x % 32);
    else
        yeoul::cuda::ldmatrix_x4(fragment, rows + threadIdx.x % 32);
    y[threadIdx.x] = static_cast<float>(fragment[0]);
}
__global__ void syncwarps_in_two_branches(float* y) {
    if (threadIdx.x % 32 < 16)
        __syncwarp();
    else
        __syncwarp();
    y[threadIdx.x] = 0;
}
__global__ void trapped(float* y) {
    if (threadIdx.x == 3)
        __trap();
    y[threadIdx.x] = 0;
}

Fault fault(const char* name, void (*kernel)(float*), unsigned threads = 256) {
    return {name, [kernel, threads] {
                const Buffer<float> y(threads);
                run(kernel, dim3(2), dim3(threads), 0, y.data());
                return true;
            }};
}

} // namespace

std::vector<Fault> meeting_faults() {
    return {
        fault("divergent barrier", divergent_barrier),
        fault("barrier after return", barrier_after_return),
        fault("two kinds of barrier", two_kinds_of_barrier),
        fault("barriers in two branches", barriers_in_two_branches),
        fault("barrier against shuffle", barrier_against_shuffle, 32),
        fault("divergent shuffle", divergent_shuffle),
        fault("mask without caller", mask_without_caller),
        fault("shuffle from absent lane", shuffle_from_absent),
        fault("mask of returned lanes", mask_of_returned, 64),
        fault("different masks", different_masks),
        fault("different functions", different_functions),
        fault("mma of half a warp", partial_mma, 48),
        fault("ldmatrix of half a warp", partial_ldmatrix, 48),
        fault("mma in two branches", mma_in_two_branches),
        fault("ldmatrix in two branches", ldmatrix_in_two_branches, 32),
        fault("syncwarps in two branches", syncwarps_in_two_branches),
        fault("trap", trapped),
    };
}

} // namespace simt::faults

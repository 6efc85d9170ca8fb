// Threads that read what another has not written yet, or overwrite what another has not read.
#include <vector>

#include "tests/simt/device.h"
#include "tests/simt/faults/kernels.h"

namespace simt::faults {
namespace {

using test::Buffer;
using test::run;

std::vector<float> ramp(int count) {
    std::vector<float> values(count);
    for (int i = 0; i < count; ++i)
        values[i] = static_cast<float>(i % 97);
    return values;
}

// Sums of warps are read before every warp has written its own.
__global__ void read_before_write(const float* x, float* y) {
    SIMT_SHARED(float, sums, [8]);
    const unsigned thread = threadIdx.x;
    float sum = x[thread];
    for (int lanes = 16; lanes > 0; lanes /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
    if (thread % 32 == 0)
        sums[thread / 32] = sum;
    float total = 0;
    for (float part : sums)
        total += part;
    y[thread] = total;
}

// The tile is overwritten while other threads still read it: the barrier behind the read is
// missing.
__global__ void write_before_read(const float* x, float* y) {
    SIMT_SHARED(float, tile, [kThreads]);
    const unsigned thread = threadIdx.x;
    float sum = 0;
    for (unsigned round = 0; round < 4; ++round) {
        tile[thread] = x[round * kThreads + thread];
        __syncthreads();
        sum += tile[kThreads - 1 - thread];
    }
    y[thread] = sum;
}

// Neighbours of one warp exchange through memory as if they ran in step.
__global__ void no_syncwarp(const float* x, float* y) {
    SIMT_SHARED(float, tile, [kThreads]);
    const unsigned thread = threadIdx.x;
    tile[thread] = x[thread];
    y[thread] = tile[thread ^ 1];
}

// A shuffle orders no memory, though it meets all lanes.
__global__ void shuffle_for_syncwarp(const float* x, float* y) {
    SIMT_SHARED(float, tile, [kThreads]);
    const unsigned thread = threadIdx.x;
    tile[thread] = x[thread];
    const float none = __shfl_xor_sync(0xffffffffu, 0.0F, 1);
    y[thread] = tile[thread ^ 1] + none;
}

// In ascending order thread 0 always comes first: only another order shows it.
__global__ void broadcast(const float* x, float* y) {
    SIMT_SHARED(float, value, [1]);
    if (threadIdx.x == 0)
        value[0] = x[5];
    y[threadIdx.x] = value[0];
}

__global__ void syncwarp_for_syncthreads(const float* x, float* y) {
    SIMT_SHARED(float, tile, [kThreads]);
    const unsigned thread = threadIdx.x;
    tile[thread] = x[thread];
    __syncwarp();
    y[thread] = tile[kThreads - 1 - thread];
}

__global__ void dynamic_without_barrier(const float* x, float* y) {
    SIMT_DYNAMIC_SHARED(float, tile);
    const unsigned thread = threadIdx.x;
    tile[thread] = x[thread];
    y[thread] = tile[kThreads - 1 - thread];
}

// What no mode sees: blocks run one after the other, or meet on global memory by luck.
__global__ void blocks_race(float* y) {
    if (threadIdx.x == 0)
        y[0] += 1;
}

template <class Reference>
bool right(void (*kernel)(const float*, float*), size_t shared_bytes, Reference reference) {
    const std::vector<float> input = ramp(4 * kThreads);
    const Buffer<float> x(input), y(kThreads);
    run(kernel, dim3(1), dim3(kThreads), shared_bytes, x.data(), y.data());
    const std::vector<float> output = y.values();
    for (int i = 0; i < kThreads; ++i)
        if (!(output[i] == reference(input, i)))
            return false;
    return true;
}

} // namespace

std::vector<Fault> shared_memory_faults() {
    using Input = const std::vector<float>&;
    const auto total = [](Input x, int) {
        float sum = 0;
        for (int i = 0; i < kThreads; ++i)
            sum += x[i];
        return sum;
    };
    const auto rounds = [](Input x, int i) {
        float sum = 0;
        for (int round = 0; round < 4; ++round)
            sum += x[round * kThreads + kThreads - 1 - i];
        return sum;
    };
    const auto neighbour = [](Input x, int i) { return x[i ^ 1]; };
    const auto mirrored = [](Input x, int i) { return x[kThreads - 1 - i]; };
    const auto fifth = [](Input x, int) { return x[5]; };
    const size_t bytes = kThreads * sizeof(float);
    return {
        {"read before write", [=] { return right(read_before_write, 0, total); }},
        {"write before read", [=] { return right(write_before_read, 0, rounds); }},
        {"no syncwarp", [=] { return right(no_syncwarp, 0, neighbour); }},
        {"shuffle for syncwarp", [=] { return right(shuffle_for_syncwarp, 0, neighbour); }},
        {"broadcast", [=] { return right(broadcast, 0, fifth); }},
        {"syncwarp for syncthreads", [=] { return right(syncwarp_for_syncthreads, 0, mirrored); }},
        {"dynamic without barrier",
         [=] { return right(dynamic_without_barrier, bytes, mirrored); }},
        {"blocks race",
         [] {
             const Buffer<float> y(std::vector<float>{0});
             run(blocks_race, dim3(64), dim3(32), 0, y.data());
             return y.values()[0] <= 64;
         }},
    };
}

} // namespace simt::faults

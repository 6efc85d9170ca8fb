// Barriers, warp functions, atomics and shared memory as CUDA defines them, in ascending order and
// in random ones.
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "tests/simt/device.h"

using namespace simt::test;

namespace {

constexpr unsigned kAll = 0xffffffffu;

// Runs `test` in ascending order and in three random ones.
template <class Test>
void in_each_order(Test test) {
    const simt::Config before = simt::config();
    test();
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        CAPTURE(seed);
        simt::config().random_order = true;
        simt::config().seed = seed;
        test();
    }
    simt::config() = before;
}

__global__ void places(uint3* y) {
    const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    y[block * blockDim.x * blockDim.y * blockDim.z + thread] = {threadIdx.x + 100 * blockIdx.x,
                                                                threadIdx.y + 100 * blockIdx.y,
                                                                threadIdx.z + 100 * blockIdx.z};
}

__global__ void barriers(int* y) {
    const int thread = static_cast<int>(threadIdx.x);
    int* mine = y + 3 * thread;
    mine[0] = __syncthreads_count(thread % 3 == 0);
    mine[1] = __syncthreads_and(thread < 1000);
    mine[2] = __syncthreads_or(thread == 70) + 10 * __syncthreads_and(thread != 5);
}

// Sums tree-wise in dynamic memory, then in a static array, twice: barriers between all of it.
__global__ void sum_block(const int* x, int* y, int rounds) {
    SIMT_DYNAMIC_SHARED(int, tree);
    SIMT_SHARED(int, kept, [2]);
    const unsigned thread = threadIdx.x;
    for (int round = 0; round < rounds; ++round) {
        tree[thread] = x[blockIdx.x * blockDim.x + thread] + round;
        __syncthreads();
        for (unsigned half_size = blockDim.x / 2; half_size > 0; half_size /= 2) {
            if (thread < half_size)
                tree[thread] += tree[thread + half_size];
            __syncthreads();
        }
        if (thread == 0)
            kept[round % 2] = tree[0];
        __syncthreads();
    }
    if (thread == 0)
        y[blockIdx.x] = kept[(rounds - 1) % 2];
}

__global__ void shuffles(int* y) {
    const int lane = static_cast<int>(threadIdx.x % 32);
    int* mine = y + 8 * threadIdx.x;
    mine[0] = __shfl_sync(kAll, lane, 7);
    mine[1] = __shfl_sync(kAll, lane, 3, 8);
    mine[2] = __shfl_xor_sync(kAll, lane, 16);
    mine[3] = __shfl_down_sync(kAll, lane, 3);
    mine[4] = __shfl_up_sync(kAll, lane, 5, 16);
    mine[5] = static_cast<int>(__shfl_xor_sync(kAll, int64_t{1} << 40 | lane, 1) & 63);
    mine[6] = __half2float(__shfl_xor_sync(kAll, __float2half(static_cast<float>(lane)), 2)) == 0;
    if (lane % 2 == 0)
        mine[7] = __shfl_xor_sync(0x55555555u, lane, 2);
    else
        mine[7] = __shfl_xor_sync(0xaaaaaaaau, lane, 4);
}

__global__ void votes(unsigned* y) {
    const unsigned lane = threadIdx.x % 32;
    unsigned* mine = y + 4 * threadIdx.x;
    mine[0] = __ballot_sync(kAll, lane % 3 == 0);
    mine[1] = static_cast<unsigned>(__any_sync(kAll, lane == 31));
    mine[2] = static_cast<unsigned>(__all_sync(kAll, lane != 31));
    mine[3] = __match_any_sync(kAll, lane % 4);
}

__global__ void atomics(int* count, float* sum, unsigned* largest, int* owner) {
    SIMT_SHARED(int, local, [1]);
    if (threadIdx.x == 0)
        local[0] = 0;
    __syncthreads();
    atomicAdd(local, 1);
    __syncthreads();
    if (threadIdx.x == 0)
        atomicAdd(count, local[0]);
    atomicAdd(sum, 0.5F);
    atomicMax(largest, blockIdx.x * blockDim.x + threadIdx.x);
    atomicCAS(owner, -1, 42);
}

__global__ void exchange_in_warp(const int* x, int* y) {
    SIMT_SHARED(int, tile, [64]);
    const unsigned thread = threadIdx.x;
    for (int round = 0; round < 8; ++round) {
        tile[thread] = x[thread] + round;
        __syncwarp();
        y[thread] = tile[thread ^ 5];
        __syncwarp();
    }
}

} // namespace

TEST_CASE("threads: every one of a grid runs once and knows its place") {
    in_each_order([] {
        const dim3 grid(3, 2, 2), block(5, 3, 2);
        const Buffer<uint3> y(12 * 30);
        run(places, grid, block, 0, y.data());
        const std::vector<uint3> values = y.values();
        size_t i = 0;
        for (unsigned z = 0; z < 2; ++z)
            for (unsigned b = 0; b < 2; ++b)
                for (unsigned x = 0; x < 3; ++x)
                    for (unsigned t = 0; t < 30; ++t, ++i) {
                        CHECK(values[i].x == t % 5 + 100 * x);
                        CHECK(values[i].y == t / 5 % 3 + 100 * b);
                        CHECK(values[i].z == t / 15 + 100 * z);
                    }
    });
}

TEST_CASE("threads: barriers count, and, or") {
    in_each_order([] {
        for (unsigned threads : {32U, 100U, 1024U}) {
            const Buffer<int> y(3 * threads);
            run(barriers, dim3(1), dim3(threads), 0, y.data());
            const std::vector<int> values = y.values();
            for (unsigned i = 0; i < threads; ++i) {
                CHECK(values[3 * i] == static_cast<int>((threads + 2) / 3));
                CHECK(values[3 * i + 1] == (threads <= 1000));
                CHECK(values[3 * i + 2] == (threads > 70));
            }
        }
    });
}

TEST_CASE("threads: sums over shared memory, block for block") {
    in_each_order([] {
        std::vector<int> x(16 * 256);
        for (size_t i = 0; i < x.size(); ++i)
            x[i] = static_cast<int>(i);
        const Buffer<int> input(x), y(16);
        run(sum_block, dim3(16), dim3(256), 256 * sizeof(int), input.data(), y.data(), 3);
        const std::vector<int> sums = y.values();
        for (int block = 0; block < 16; ++block)
            CHECK(sums[block] == 256 * (256 * block + 2) + 255 * 128);
    });
}

TEST_CASE("threads: shuffles in warps, segments and parts of a warp") {
    in_each_order([] {
        const Buffer<int> y(8 * 64);
        run(shuffles, dim3(1), dim3(64), 0, y.data());
        const std::vector<int> values = y.values();
        for (int thread = 0; thread < 64; ++thread) {
            const int lane = thread % 32;
            const int* mine = &values[8 * thread];
            CHECK(mine[0] == 7);
            CHECK(mine[1] == lane / 8 * 8 + 3);
            CHECK(mine[2] == (lane ^ 16));
            CHECK(mine[3] == (lane + 3 < 32 ? lane + 3 : lane));
            CHECK(mine[4] == (lane % 16 >= 5 ? lane - 5 : lane));
            CHECK(mine[5] == (lane ^ 1));
            CHECK(mine[6] == (lane == 2));
            CHECK(mine[7] == (lane ^ (lane % 2 == 0 ? 2 : 4)));
        }
    });
}

TEST_CASE("threads: votes and matches") {
    in_each_order([] {
        const Buffer<unsigned> y(4 * 32);
        run(votes, dim3(1), dim3(32), 0, y.data());
        const std::vector<unsigned> values = y.values();
        for (unsigned lane = 0; lane < 32; ++lane) {
            CHECK(values[4 * lane] == 0x49249249U);
            CHECK(values[4 * lane + 1] == 1);
            CHECK(values[4 * lane + 2] == 0);
            CHECK(values[4 * lane + 3] == 0x11111111U << lane % 4);
        }
    });
}

TEST_CASE("threads: atomics lose nothing, within a block and between blocks") {
    in_each_order([] {
        const Buffer<int> count(std::vector<int>{0}), owner(std::vector<int>{-1});
        const Buffer<float> sum(std::vector<float>{0});
        const Buffer<unsigned> largest(std::vector<unsigned>{0});
        run(atomics, dim3(40), dim3(100), 0, count.data(), sum.data(), largest.data(),
            owner.data());
        CHECK(count.values()[0] == 4000);
        CHECK(sum.values()[0] == 2000);
        CHECK(largest.values()[0] == 3999);
        CHECK(owner.values()[0] == 42);
    });
}

TEST_CASE("threads: __syncwarp orders the memory of a warp") {
    in_each_order([] {
        std::vector<int> x(64);
        for (int i = 0; i < 64; ++i)
            x[i] = 3 * i;
        const Buffer<int> input(x), y(64);
        run(exchange_in_warp, dim3(1), dim3(64), 0, input.data(), y.data());
        const std::vector<int> values = y.values();
        for (int i = 0; i < 64; ++i)
            CHECK(values[i] == 3 * (i ^ 5) + 7);
    });
}

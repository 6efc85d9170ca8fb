// Bank conflicts of patterns that can be counted on paper: 32 banks of 4 bytes; 8 bytes a lane go
// in two phases, 16 in four, ldmatrix in one for each matrix.
#include <doctest/doctest.h>

#include "kernels/cuda/device/mma.cuh"
#include "kernels/cuda/device/shared.cuh"
#include "tests/simt/device.h"

using namespace simt::test;
using yeoul::cuda::load_shared;
using yeoul::cuda::store_shared;

namespace {

constexpr size_t kBytes = 32 << 10;

template <class T>
__global__ void load_strided(int stride_bytes, int lanes, int times) {
    YEOUL_DYNAMIC_SHARED(unsigned char, memory);
    if (static_cast<int>(threadIdx.x % 32) >= lanes)
        return;
    for (int i = 0; i < times; ++i)
        (void)load_shared<T>(memory + threadIdx.x % 32 * stride_bytes);
}

__global__ void store_strided(int stride_bytes) {
    YEOUL_DYNAMIC_SHARED(unsigned char, memory);
    store_shared(memory + threadIdx.x * stride_bytes, make_uint4(1, 2, 3, 4));
}

// Rows of `stride_bytes`, eight for each matrix; `swizzled` moves a row's 16 bytes by its number.
__global__ void load_matrices(int stride_bytes, bool swizzled) {
    YEOUL_DYNAMIC_SHARED(unsigned char, memory);
    const int row = static_cast<int>(threadIdx.x) % 8, matrix = static_cast<int>(threadIdx.x) / 8;
    const int chunk = swizzled ? matrix ^ row : matrix;
    uint32_t fragment[4];
    yeoul::cuda::ldmatrix_x4(fragment, memory + row * stride_bytes + chunk * 16);
}

template <class... P, class... A>
simt::BankStats counted(void (*kernel)(P...), unsigned threads, A... arguments) {
    simt::take_bank_stats();
    simt::config().count_banks = true;
    run(kernel, dim3(1), dim3(threads), kBytes, arguments...);
    simt::config().count_banks = false;
    return simt::take_bank_stats();
}

void check(const simt::BankStats& stats, uint64_t accesses, uint64_t wavefronts,
           uint64_t extra_wavefronts) {
    CHECK(stats.accesses == accesses);
    CHECK(stats.wavefronts == wavefronts);
    CHECK(stats.extra_wavefronts == extra_wavefronts);
}

#if defined(SIMT_TSAN)
constexpr bool kCounts = false; // it would allocate inside a kernel's thread
#else
constexpr bool kCounts = true;
#endif

} // namespace

TEST_CASE("banks: neighbouring lanes and the same word for all have no conflict" *
          doctest::skip(!kCounts)) {
    check(counted(load_strided<float>, 32, 4, 32, 1), 1, 1, 0);
    check(counted(load_strided<float>, 32, 0, 32, 1), 1, 1, 0);
    check(counted(load_strided<uint2>, 32, 8, 32, 1), 1, 2, 0);
    check(counted(load_strided<uint4>, 32, 16, 32, 1), 1, 4, 0);
    check(counted(load_strided<uint4>, 32, 0, 32, 1), 1, 4, 0);
}

TEST_CASE("banks: strides make lanes meet in a bank" * doctest::skip(!kCounts)) {
    check(counted(load_strided<float>, 32, 8, 32, 1), 1, 2, 1);
    check(counted(load_strided<float>, 32, 64, 32, 1), 1, 16, 15); // two banks for 32 words
    check(counted(load_strided<float>, 32, 128, 32, 1), 1, 32, 31);
    check(counted(load_strided<float>, 32, 132, 32, 1), 1, 1, 0);
    check(counted(load_strided<uint4>, 32, 64, 32, 1), 1, 16, 12); // 8 lanes in 2 places
    check(counted(load_strided<uint4>, 32, 128, 32, 1), 1, 32, 28);
    check(counted(load_strided<uint4>, 32, 144, 32, 1), 1, 4, 0); // rows of 128, padded by 16
    check(counted(store_strided, 32, 64), 1, 16, 12);
}

TEST_CASE("banks: lanes group by warp and by turn of a loop; a part of a warp counts" *
          doctest::skip(!kCounts)) {
    check(counted(load_strided<float>, 128, 64, 32, 5), 20, 20 * 16, 20 * 15);
    check(counted(load_strided<uint4>, 32, 16, 8, 1), 1, 1, 0);
    check(counted(load_strided<uint4>, 32, 64, 9, 2), 2, 10, 6);
}

TEST_CASE("banks: ldmatrix takes a phase for each matrix" * doctest::skip(!kCounts)) {
    check(counted(load_matrices, 32, 64, false), 1, 16, 12);
    check(counted(load_matrices, 32, 128, false), 1, 32, 28);
    check(counted(load_matrices, 32, 144, false), 1, 4, 0);
    check(counted(load_matrices, 32, 128, true), 1, 4, 0);
}

TEST_CASE("banks: places are told apart and named, the worst first" * doctest::skip(!kCounts)) {
    simt::take_bank_stats();
    simt::config().count_banks = true;
    run(load_strided<float>, dim3(2), dim3(32), kBytes, 4, 32, 1);
    run(store_strided, dim3(1), dim3(32), kBytes, 64);
    simt::config().count_banks = false;
    const auto sites = simt::take_bank_sites();
    REQUIRE(sites.size() == 2);
    CHECK(sites[0].kernel.find("store_strided") != std::string::npos);
    CHECK(sites[0].bytes == 16);
    CHECK(sites[0].stats.extra_wavefronts == 12);
    CHECK(sites[1].kernel.find("load_strided") != std::string::npos);
    CHECK(sites[1].stats.accesses == 2);
}

TEST_CASE("banks: nothing is counted unless asked") {
    simt::take_bank_stats();
    run(load_strided<float>, dim3(1), dim3(32), kBytes, 64, 32, 1);
    CHECK(simt::take_bank_stats().accesses == 0);
}

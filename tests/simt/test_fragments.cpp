// Where the instructions keep their matrices, element by element, against the PTX ISA's formulas:
//     groupID = laneid >> 2, threadID_in_group = laneid % 4
// A wrong place of a single element of A, B, C or D fails: each block has one 1 in A, and B and C
// hold values that are all different.
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "tests/simt/device.h"

using namespace simt::test;

namespace {

// "Matrix Fragments for mma.m16n8k8", .f16: a0, a1 | a2, a3; b0, b1; c0, c1 | c2, c3.
struct M16n8k8 {
    static constexpr int kA = 4, kB = 2, kC = 4, kRows = 16, kInner = 8;
    static int a_row(int group, int, int i) { return i < 2 ? group : group + 8; }
    static int a_column(int, int thread, int i) { return thread * 2 + (i & 1); }
    static int b_row(int, int thread, int i) { return thread * 2 + i; }
    static int b_column(int group, int, int) { return group; }
    static int c_row(int group, int, int i) { return i < 2 ? group : group + 8; }
    static int c_column(int, int thread, int i) { return thread * 2 + (i & 1); }
};

// "Matrix Fragments for mma.m8n8k16", .s8: a0..a3; b0..b3; c0, c1.
struct M8n8k16 {
    static constexpr int kA = 4, kB = 4, kC = 2, kRows = 8, kInner = 16;
    static int a_row(int group, int, int) { return group; }
    static int a_column(int, int thread, int i) { return thread * 4 + i; }
    static int b_row(int, int thread, int i) { return thread * 4 + i; }
    static int b_column(int group, int, int) { return group; }
    static int c_row(int group, int, int) { return group; }
    static int c_column(int, int thread, int i) { return thread * 2 + i; }
};

constexpr int kColumns = 8;

void multiply(float (&d)[4], const half (&a)[4], const half (&b)[2]) {
    const unsigned pairs[2] = {__half_as_ushort(a[0]) | unsigned{__half_as_ushort(a[1])} << 16,
                               __half_as_ushort(a[2]) | unsigned{__half_as_ushort(a[3])} << 16};
    simt::mma_m16n8k8(d, pairs, __half_as_ushort(b[0]) | unsigned{__half_as_ushort(b[1])} << 16);
}
unsigned bytes(const int8_t (&x)[4]) {
    unsigned result = 0;
    for (int i = 0; i < 4; ++i)
        result |= static_cast<unsigned>(static_cast<uint8_t>(x[i])) << 8 * i;
    return result;
}
void multiply(int (&d)[2], const int8_t (&a)[4], const int8_t (&b)[4]) {
    simt::mma_m8n8k16(d, bytes(a), bytes(b));
}

// Block i multiplies a matrix that is 1 at element i and 0 elsewhere.
template <class Layout, class In, class Sum>
__global__ void multiply_each(const In* b, const Sum* c, Sum* d) {
    const int lane = static_cast<int>(threadIdx.x), group = lane / 4, thread = lane % 4;
    In a_part[Layout::kA], b_part[Layout::kB];
    Sum sums[Layout::kC];
    for (int i = 0; i < Layout::kA; ++i) {
        const int at =
            Layout::a_row(group, thread, i) * Layout::kInner + Layout::a_column(group, thread, i);
        a_part[i] = static_cast<In>(at == static_cast<int>(blockIdx.x) ? 1 : 0);
    }
    for (int i = 0; i < Layout::kB; ++i)
        b_part[i] =
            b[Layout::b_row(group, thread, i) * kColumns + Layout::b_column(group, thread, i)];
    const auto place = [&](int i) {
        return Layout::c_row(group, thread, i) * kColumns + Layout::c_column(group, thread, i);
    };
    for (int i = 0; i < Layout::kC; ++i)
        sums[i] = c[place(i)];
    multiply(sums, a_part, b_part);
    for (int i = 0; i < Layout::kC; ++i)
        d[blockIdx.x * Layout::kRows * kColumns + place(i)] = sums[i];
}

template <class Layout, class In, class Sum>
void check_mma() {
    constexpr int elements = Layout::kRows * Layout::kInner;
    constexpr int results = Layout::kRows * kColumns;
    std::vector<In> b;
    for (int i = 0; i < Layout::kInner * kColumns; ++i)
        b.push_back(static_cast<In>(i - 64)); // fits int8 and is exact in fp16
    std::vector<Sum> c;
    for (int i = 0; i < results; ++i)
        c.push_back(static_cast<Sum>(1000 + 300 * i));
    const Buffer<In> b_device(b);
    const Buffer<Sum> c_device(c), d_device(static_cast<size_t>(elements) * results);
    run(multiply_each<Layout, In, Sum>, dim3(elements), dim3(32), 0, b_device.data(),
        c_device.data(), d_device.data());
    const std::vector<Sum> d = d_device.values();
    int wrong = 0;
    for (int one = 0; one < elements; ++one)
        for (int row = 0; row < Layout::kRows; ++row)
            for (int column = 0; column < kColumns; ++column) {
                Sum expected = c[row * kColumns + column];
                if (row == one / Layout::kInner)
                    expected += static_cast<Sum>(b[one % Layout::kInner * kColumns + column]);
                wrong += d[(one * Layout::kRows + row) * kColumns + column] != expected;
            }
    CHECK(wrong == 0);
}

// Element (row, column) of matrix m is 64 m + 8 row + column. Rows lie in shared memory in a mixed
// order, so that each lane's address counts.
template <int matrices, bool transposed>
__global__ void load_matrices(unsigned* y) {
    SIMT_SHARED(uint4, memory, [8 * matrices]);
    const unsigned lane = threadIdx.x;
    const unsigned row = lane % (8 * matrices), place = (row * 5 + 3) % (8 * matrices);
    if (lane < 8 * matrices) {
        auto* halves = reinterpret_cast<uint16_t*>(memory + place);
        for (unsigned column = 0; column < 8; ++column)
            halves[column] = static_cast<uint16_t>(8 * row + column);
    }
    __syncwarp();
    unsigned fragment[matrices];
    if constexpr (transposed)
        simt::ldmatrix_x4_trans(fragment, memory + place);
    else if constexpr (matrices == 4)
        simt::ldmatrix_x4(fragment, memory + place);
    else
        simt::ldmatrix_x2(fragment, memory + place);
    for (unsigned m = 0; m < matrices; ++m)
        y[lane * matrices + m] = fragment[m];
}

// "ldmatrix": thread 4 r + t receives elements 2 t and 2 t + 1 of row r; with .trans of column r.
template <int matrices, bool transposed>
void check_ldmatrix() {
    const Buffer<unsigned> y(32 * matrices);
    run(load_matrices<matrices, transposed>, dim3(1), dim3(32), 0, y.data());
    const std::vector<unsigned> values = y.values();
    int wrong = 0;
    for (unsigned lane = 0; lane < 32; ++lane)
        for (unsigned m = 0; m < matrices; ++m)
            for (unsigned i = 0; i < 2; ++i) {
                const unsigned r = lane / 4, k = 2 * (lane % 4) + i;
                const unsigned expected = 64 * m + (transposed ? 8 * k + r : 8 * r + k);
                wrong += (values[lane * matrices + m] >> 16 * i & 0xffff) != expected;
            }
    CHECK(wrong == 0);
}

} // namespace

TEST_CASE("fragments: mma.m16n8k8 keeps every element where the PTX ISA says") {
    check_mma<M16n8k8, half, float>();
}

TEST_CASE("fragments: mma.m8n8k16 keeps every element where the PTX ISA says") {
    check_mma<M8n8k16, int8_t, int>();
}

TEST_CASE("fragments: ldmatrix x2, x4 and x4.trans give every element where the PTX ISA says") {
    check_ldmatrix<2, false>();
    check_ldmatrix<4, false>();
    check_ldmatrix<4, true>();
}

// Tensor-core and matrix-load instructions; kernels/cuda/device/mma.cuh has their contracts.
#pragma once

#include <source_location>

#include "simt/execution.h"

namespace simt {

// `place` is where the kernel calls: the argument's default is made there.
inline void mma_m16n8k8(float (&d)[4], const unsigned (&a)[2], unsigned b,
                        detail::Place place = std::source_location::current()) {
    detail::MmaM16n8k8 record{{a[0], a[1]}, b, {d[0], d[1], d[2], d[3]}};
    detail::collective(detail::Collective::mma_m16n8k8, 0xffffffffu, &record, place);
    for (int i = 0; i < 4; ++i)
        d[i] = record.d[i];
}

inline void mma_m8n8k16(int (&d)[2], unsigned a, unsigned b,
                        detail::Place place = std::source_location::current()) {
    detail::MmaM8n8k16 record{a, b, {d[0], d[1]}};
    detail::collective(detail::Collective::mma_m8n8k16, 0xffffffffu, &record, place);
    d[0] = record.d[0];
    d[1] = record.d[1];
}

namespace detail {

// Each lane reads the row that it names itself, so that a sanitizer blames the right thread.
template <int matrices>
void ldmatrix(Collective op, unsigned (&y)[matrices], const void* row, Place place) {
    LoadMatrix record{row, {}, {}};
    if (lane() < 8 * matrices) {
        if (reinterpret_cast<uintptr_t>(row) % 16 != 0)
            fail("a row of ldmatrix is not aligned to 16 bytes");
        record.values = *static_cast<const uint4*>(row);
    }
    collective(op, 0xffffffffu, &record, place);
    for (int i = 0; i < matrices; ++i)
        y[i] = record.result[i];
}

} // namespace detail

inline void ldmatrix_x2(unsigned (&y)[2], const void* row,
                        detail::Place place = std::source_location::current()) {
    detail::ldmatrix(detail::Collective::ldmatrix_x2, y, row, place);
}
inline void ldmatrix_x4(unsigned (&y)[4], const void* row,
                        detail::Place place = std::source_location::current()) {
    detail::ldmatrix(detail::Collective::ldmatrix_x4, y, row, place);
}
inline void ldmatrix_x4_trans(unsigned (&y)[4], const void* row,
                              detail::Place place = std::source_location::current()) {
    detail::ldmatrix(detail::Collective::ldmatrix_x4_trans, y, row, place);
}

} // namespace simt

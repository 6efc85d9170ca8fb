// Tensor-core and matrix-load instructions of sm_75. The only PTX of the project.
// Layouts: PTX ISA 8.x, "Matrix Fragments for mma.m16n8k8" and "mma.m8n8k16", "ldmatrix".
// In the fragments below lane = 4 g + t. On the emulator these are its own functions, not calls of
// them: it notes where in a kernel they are called.
#pragma once

#include <cstdint>

#include <cuda_fp16.h>
#include <cuda_runtime.h>

namespace yeoul::cuda {

/// d (16, 8) fp32 = a (16, 8) fp16 * b (8, 8) fp16 + d.
///   a[0]: row g, columns 2t, 2t+1;   a[1]: row g+8, the same columns
///   b:    rows 2t, 2t+1 of column g
///   d[0..1]: row g, columns 2t, 2t+1;   d[2..3]: row g+8
#if defined(YEOUL_SIMT)
using simt::mma_m16n8k8;
#else
__device__ __forceinline__ void mma_m16n8k8(float (&d)[4], const uint32_t (&a)[2], uint32_t b) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5},{%6},"
                 "{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b));
}
#endif

/// d (8, 8) int32 = a (8, 16) int8 * b (16, 8) int8 + d. No kernel uses it yet: the emulator's
/// tests do.
///   a: row g, columns 4t..4t+3;   b: rows 4t..4t+3 of column g;   d: row g, columns 2t, 2t+1
#if defined(YEOUL_SIMT)
using simt::mma_m8n8k16;
#else
__device__ __forceinline__ void mma_m8n8k16(int32_t (&d)[2], uint32_t a, uint32_t b) {
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1},{%2},{%3},{%0,%1};"
                 : "+r"(d[0]), "+r"(d[1])
                 : "r"(a), "r"(b));
}
#endif

/// Four 8x8 matrices of 16-bit values from shared memory; lane 8 m + r gives the 16-byte row r of
/// matrix m, and y[m] holds columns 2t, 2t+1 of row g of matrix m.
#if defined(YEOUL_SIMT)
using simt::ldmatrix_x4;
#else
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&y)[4], const void* row) {
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3},[%4];"
                 : "=r"(y[0]), "=r"(y[1]), "=r"(y[2]), "=r"(y[3])
                 : "r"(address)
                 : "memory");
}
#endif

/// The same of the transposed matrices: y[m] holds rows 2t, 2t+1 of column g of matrix m.
#if defined(YEOUL_SIMT)
using simt::ldmatrix_x4_trans;
#else
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&y)[4], const void* row) {
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3},[%4];"
                 : "=r"(y[0]), "=r"(y[1]), "=r"(y[2]), "=r"(y[3])
                 : "r"(address)
                 : "memory");
}
#endif

/// Two matrices; lanes 0 to 15 give the rows. Used by the emulator's tests, by no kernel yet.
#if defined(YEOUL_SIMT)
using simt::ldmatrix_x2;
#else
__device__ __forceinline__ void ldmatrix_x2(uint32_t (&y)[2], const void* row) {
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1},[%2];"
                 : "=r"(y[0]), "=r"(y[1])
                 : "r"(address)
                 : "memory");
}
#endif

} // namespace yeoul::cuda

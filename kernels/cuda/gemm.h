// The project's own matrix product for tensor cores of sm_75, and what a choice among its tiles is
// made from. y = act(x w^T + bias), or y += x w^T + bias; fp16 in memory, fp32 until the one
// rounding at the end.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "kernels/cuda/context.h"
#include "kernels/ops.h"

namespace yeoul::cuda {

struct GemmShape {
    int rows = 0, columns = 0, inner = 0; // x (rows, inner), w (columns, inner), y (rows, columns)
    Activation activation = Activation::none;
    bool accumulate = false;
    friend bool operator==(const GemmShape&, const GemmShape&) = default;
};

/// What a block computes, and what it costs an SM.
struct GemmTile {
    const char* name; // rows x columns x inner elements of one step
    int rows, columns;
    int resident;      // blocks that fit an SM of sm_75, by ptxas
    double efficiency; // of the tensor cores while the main loop runs, relative to the other tiles
};
// `resident` is what nvcc 13.0's registers and shared memory allow. `efficiency` is estimated: a
// smaller tile loads more for each product, a smaller warp tile reads more shared memory (32x32 a
// value for 16, 32x48 for 19, 64x64 for 32), and 128x128 leaves an SM 8 warps to hide latency with,
// where 128x96 has 16. `tune` measures instead.
inline constexpr std::array<GemmTile, 4> kGemmTiles{{
    {"128x96x32", 128, 96, 2, 0.92},
    {"128x128x32", 128, 128, 2, 0.90},
    {"64x96x32", 64, 96, 3, 0.85},
    {"64x64x32", 64, 64, 4, 0.78},
}};
constexpr int kGemmInner = 32;    // of one step of the main loop
constexpr int kMaxSplits = 65535; // y of a grid
constexpr int kGemmPadding = 8;   // columns of partial sums and bias come in multiples of this

inline int divide_up(int x, int y) {
    return x / y + (x % y != 0);
}
inline int padded(int x, int multiple) {
    return divide_up(x, multiple) * multiple;
}

/// The operands of one call. x, w and y are 16-byte aligned; y overlaps neither.
struct GemmCall {
    const void* x = nullptr;     // (rows, inner) fp16
    const void* w = nullptr;     // (columns, padded(inner, kGemmInner)) fp16, zeros in the padding
    const float* bias = nullptr; // (padded(columns, kGemmPadding))
    void* y = nullptr;           // (rows, columns) fp16
    float* partial = nullptr;    // gemm_scratch_bytes, where split
};

/// An index into `kGemmTiles` and over how many blocks a tile's inner extent is divided. Partial
/// sums are added in a fixed order: the same call gives the same bits.
struct OwnGemm {
    int tile = 0;
    int splits = 1;
    friend bool operator==(const OwnGemm&, const OwnGemm&) = default;
};

/// The largest extents that 32-bit offsets within one tile and one grid serve. Throws
/// `invalid_argument` naming the value.
void require_gemm_extents(const char* op, const GemmShape& shape);
/// Of the partial sums, 0 where nothing is split.
inline size_t gemm_scratch_bytes(const GemmShape& shape, OwnGemm how) {
    return how.splits == 1
               ? 0
               : sizeof(float) * how.splits * shape.rows * padded(shape.columns, kGemmPadding);
}
/// Loads the kernels of a tile. For the making of an op.
void prepare_gemm(const GemmShape& shape, OwnGemm how);
void gemm(const GemmShape& shape, OwnGemm how, const GemmCall& call, StreamRef stream);

/// y = act(y + bias) in place; what a library's product leaves to do. 4 bytes of traffic a value.
void prepare_bias_activation();
void bias_activation(void* y, const float* bias, int rows, int columns, Activation activation,
                     StreamRef stream);

} // namespace yeoul::cuda

// Hands a matrix product to the kernels of its tile.
// Tests: tests/kernels/test_linear.cpp
#include "kernels/cuda/gemm.cuh"

#include <climits>

#include <yeoul/error.h>

#include "kernels/cuda/gemm_tiles.h"

namespace yeoul::cuda {
namespace {

struct TileKernels {
    void (*prepare)(int inner);
    void (*launch)(const GemmOperands& operands, const GemmEnd& end, int splits, StreamRef stream);
};
// In the order of kGemmTiles.
constexpr TileKernels kTileKernels[] = {{prepare_gemm_128x96, launch_gemm_128x96},
                                        {prepare_gemm_128x128, launch_gemm_128x128},
                                        {prepare_gemm_64x96, launch_gemm_64x96},
                                        {prepare_gemm_64x64, launch_gemm_64x64}};
static_assert(std::size(kTileKernels) == kGemmTiles.size());

} // namespace

void require_gemm_extents(const char* op, const GemmShape& shape) {
    // A kernel reaches 127 rows of x or w from its tile's first by a 32-bit offset in halves.
    constexpr int kLargestInner = INT_MAX / 128 - kGemmInner;
    YEOUL_REQUIRE(shape.inner <= kLargestInner,
                  op << ": in is " << shape.inner << ", must be at most " << kLargestInner);
    // Blocks are numbered by 32 bits, and the ends of y take one thread for eight values.
    YEOUL_REQUIRE(shape.columns <= INT_MAX - kGemmPadding, op << ": out is " << shape.columns);
    YEOUL_REQUIRE(static_cast<double>(shape.rows) * shape.columns <= 0x1p38,
                  op << ": y of (" << shape.rows << ", " << shape.columns
                     << ") is too large; take a smaller batch");
}

void prepare_gemm(const GemmShape& shape, OwnGemm how) {
    kTileKernels[how.tile].prepare(shape.inner);
    if (how.splits > 1)
        prepare_split_k();
}

void gemm(const GemmShape& shape, OwnGemm how, const GemmCall& call, StreamRef stream) {
    const int steps = divide_up(divide_up(shape.inner, kGemmInner), how.splits);
    const GemmOperands operands{
        static_cast<const half*>(call.x),        static_cast<const half*>(call.w),
        how.splits > 1 ? call.partial : nullptr, shape.inner,
        padded(shape.inner, kGemmInner),         steps};
    const GemmEnd end{call.bias,     static_cast<half*>(call.y), shape.rows,
                      shape.columns, shape.activation,           shape.accumulate};
    kTileKernels[how.tile].launch(operands, end, how.splits, stream);
    if (how.splits > 1)
        launch_split_k(operands.partial, how.splits, end, stream);
}

} // namespace yeoul::cuda

// The tiles of the own matrix product, each compiled apart.
#pragma once

#include "kernels/device.h"

namespace yeoul::cuda {

struct GemmOperands;
struct GemmEnd;

#define YEOUL_GEMM_TILE(name)                                                                      \
    void prepare_gemm_##name(int inner);                                                           \
    void launch_gemm_##name(const GemmOperands& operands, const GemmEnd& end, int splits,          \
                            StreamRef stream);
YEOUL_GEMM_TILE(128x96)
YEOUL_GEMM_TILE(128x128)
YEOUL_GEMM_TILE(64x96)
YEOUL_GEMM_TILE(64x64)
#undef YEOUL_GEMM_TILE

/// Adds the partial sums of a split product in order, and ends it.
void prepare_split_k();
void launch_split_k(const float* partial, int splits, const GemmEnd& end, StreamRef stream);

} // namespace yeoul::cuda

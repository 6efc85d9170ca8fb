// Tests: tests/kernels/test_linear.cpp
#include "kernels/cuda/gemm.cuh"
#include "kernels/cuda/gemm_tiles.h"

namespace yeoul::cuda {

using Tile64x64 = TileShape<64, 64, 32, 32, 4>;

void prepare_gemm_64x64(int inner) {
    prepare_tile<Tile64x64>(inner);
}
void launch_gemm_64x64(const GemmOperands& operands, const GemmEnd& end, int splits,
                       StreamRef stream) {
    launch_tile<Tile64x64>(operands, end, splits, stream);
}

} // namespace yeoul::cuda

// Tests: tests/kernels/test_linear.cpp
#include "kernels/cuda/gemm.cuh"
#include "kernels/cuda/gemm_tiles.h"

namespace yeoul::cuda {

using Tile64x96 = TileShape<64, 96, 32, 48, 3>;

void prepare_gemm_64x96(int inner) {
    prepare_tile<Tile64x96>(inner);
}
void launch_gemm_64x96(const GemmOperands& operands, const GemmEnd& end, int splits,
                       StreamRef stream) {
    launch_tile<Tile64x96>(operands, end, splits, stream);
}

} // namespace yeoul::cuda

// Tests: tests/kernels/test_linear.cpp
#include "kernels/cuda/gemm.cuh"
#include "kernels/cuda/gemm_tiles.h"

namespace yeoul::cuda {

using Tile128x128 = TileShape<128, 128, 64, 64, 2>;

void prepare_gemm_128x128(int inner) {
    prepare_tile<Tile128x128>(inner);
}
void launch_gemm_128x128(const GemmOperands& operands, const GemmEnd& end, int splits,
                         StreamRef stream) {
    launch_tile<Tile128x128>(operands, end, splits, stream);
}

} // namespace yeoul::cuda

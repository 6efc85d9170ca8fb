// Tests: tests/kernels/test_linear.cpp
#include "kernels/cuda/gemm.cuh"
#include "kernels/cuda/gemm_tiles.h"

namespace yeoul::cuda {

using Tile128x96 = TileShape<128, 96, 32, 48, 2>;

void prepare_gemm_128x96(int inner) {
    prepare_tile<Tile128x96>(inner);
}
void launch_gemm_128x96(const GemmOperands& operands, const GemmEnd& end, int splits,
                        StreamRef stream) {
    launch_tile<Tile128x96>(operands, end, splits, stream);
}

} // namespace yeoul::cuda

#include "kernels/checks.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/ops.h"

namespace yeoul::cuda {

std::unique_ptr<Linear> make_linear(const Context&, const LinearDesc&, const LinearWeights&) {
    throw Error(ErrorCode::internal, "linear is not written yet");
}

} // namespace yeoul::cuda

#include "kernels/checks.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/ops.h"

namespace yeoul::cuda {

std::unique_ptr<Attention> make_attention(const Context&, const AttentionDesc&) {
    throw Error(ErrorCode::internal, "attention is not written yet");
}

} // namespace yeoul::cuda

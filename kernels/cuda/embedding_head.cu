#include "kernels/checks.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/ops.h"

namespace yeoul::cuda {

std::unique_ptr<EmbeddingHead> make_embedding_head(const Context&, const EmbeddingHeadDesc&,
                                                   const EmbeddingHeadWeights&) {
    throw Error(ErrorCode::internal, "embedding_head is not written yet");
}

} // namespace yeoul::cuda

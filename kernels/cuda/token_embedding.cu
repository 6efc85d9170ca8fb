#include "kernels/checks.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/ops.h"

namespace yeoul::cuda {

std::unique_ptr<TokenEmbedding> make_token_embedding(const Context&, const TokenEmbeddingDesc&,
                                                     const TokenEmbeddingWeights&) {
    throw Error(ErrorCode::internal, "token_embedding is not written yet");
}

} // namespace yeoul::cuda

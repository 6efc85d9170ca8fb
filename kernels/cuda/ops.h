// Makes the ops of kernels/ops.h, one file each. fp16 storage, fp32 sums and statistics.
#pragma once

#include <memory>

#include "kernels/cuda/context.h"
#include "kernels/ops.h"

namespace yeoul::cuda {

std::unique_ptr<Resize> make_resize(const Context& context, const ResizeDesc& desc);
std::unique_ptr<Patches> make_patches(const Context& context, const PatchesDesc& desc);
std::unique_ptr<Linear> make_linear(const Context& context, const LinearDesc& desc,
                                    const LinearWeights& weights);
std::unique_ptr<TokenEmbedding> make_token_embedding(const Context& context,
                                                     const TokenEmbeddingDesc& desc,
                                                     const TokenEmbeddingWeights& weights);
std::unique_ptr<TextEmbedding> make_text_embedding(const Context& context,
                                                   const TextEmbeddingDesc& desc,
                                                   const TextEmbeddingWeights& weights);
std::unique_ptr<LayerNorm> make_layer_norm(const Context& context, const LayerNormDesc& desc,
                                           const NormWeights& weights);
std::unique_ptr<Attention> make_attention(const Context& context, const AttentionDesc& desc);
std::unique_ptr<EmbeddingHead> make_embedding_head(const Context& context,
                                                   const EmbeddingHeadDesc& desc,
                                                   const EmbeddingHeadWeights& weights);
std::unique_ptr<Similarity> make_similarity(const Context& context, const SimilarityDesc& desc);
std::unique_ptr<TopK> make_top_k(const Context& context, const TopKDesc& desc);

} // namespace yeoul::cuda

// Makes the ops of kernels/ops.h on oneDNN and plain loops, one file each.
#pragma once

#include <memory>

#include "kernels/cpu/context.h"
#include "kernels/ops.h"

namespace yeoul::cpu {

std::unique_ptr<Patches> make_patches(const PatchesDesc& desc);
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
std::unique_ptr<Similarity> make_similarity(const SimilarityDesc& desc);
std::unique_ptr<TopK> make_top_k(const TopKDesc& desc);

} // namespace yeoul::cpu

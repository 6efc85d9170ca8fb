// Makes the ops of kernels/ops.h on oneDNN and plain loops, one file each.
#pragma once

#include <memory>

#include "kernels/cpu/onednn.h"
#include "kernels/ops.h"

namespace yeoul::cpu {

std::unique_ptr<Patches> make_patches(const PatchesDesc& desc);
std::unique_ptr<Linear> make_linear(const Onednn& onednn, const LinearDesc& desc,
                                    const LinearWeights& weights);
std::unique_ptr<TokenEmbedding> make_token_embedding(const TokenEmbeddingDesc& desc,
                                                     const TokenEmbeddingWeights& weights);
std::unique_ptr<TextEmbedding> make_text_embedding(const TextEmbeddingDesc& desc,
                                                   const TextEmbeddingWeights& weights);
std::unique_ptr<LayerNorm> make_layer_norm(const Onednn& onednn, const LayerNormDesc& desc,
                                           const NormWeights& weights);
std::unique_ptr<Attention> make_attention(const Onednn& onednn, const AttentionDesc& desc);
std::unique_ptr<EmbeddingHead> make_embedding_head(const Onednn& onednn,
                                                   const EmbeddingHeadDesc& desc,
                                                   const EmbeddingHeadWeights& weights);
std::unique_ptr<Similarity> make_similarity(const SimilarityDesc& desc);
std::unique_ptr<TopK> make_top_k(const TopKDesc& desc);

} // namespace yeoul::cpu

// The text tower of CLIP (Radford et al., 2021): the ids of a text in, its `text_embeds` out.
//
// The numbers are those of transformers' CLIPTextModelWithProjection; members carry the names of
// its checkpoint keys.
#pragma once

#include <cstdint>
#include <span>

#include "engine/models/clip_blocks.h"
#include "loader/clip_text_config.h"

namespace yeoul {

class ClipText {
public:
    struct Input {
        View ids;    // (batch, context) i32
        View pooled; // (batch) i32: the token whose vector stands for the text
    };
    using Output = VisionModel::Output;

    /// Takes the tensors it needs from `checkpoint`.
    ClipText(const loader::ClipTextConfig& config, Checkpoint& checkpoint, Backend& backend,
             Numerics numerics, const std::vector<int>& batches);

    int context() const { return config_.max_position_embeddings; }
    int dim() const { return config_.projection_dim; }
    /// exp(logit_scale): what a cosine of photo and text is multiplied with before the softmax.
    float scale() const { return scale_; }
    size_t weight_bytes() const { return weight_bytes_of(ops()); }
    size_t activation_bytes(int batch) const;
    const std::vector<int>& batches() const { return batches_; }

    /// Which token of a text of `context` ids is pooled: the first end token, or with the legacy
    /// convention the first of the largest id.
    int pooled_token(std::span<const int32_t> ids) const;

    /// As `VisionModel::forward`, for `in.ids.shape[0]` texts.
    void forward(const Input& in, const Output& out, Arena arena, StreamRef stream,
                 const Observer& observe = {}) const;

    std::vector<OpPlan> plans() const { return plans_of(ops(), batches_); }

private:
    std::vector<NamedOp> ops() const;

    loader::ClipTextConfig config_;
    std::vector<int> batches_;
    float scale_ = 1;

    std::unique_ptr<TextEmbedding> embeddings_; // token_embedding, position_embedding
    ClipBlocks encoder_;
    std::unique_ptr<EmbeddingHead> head_; // final_layer_norm, text_projection
    size_t scratch_bytes_ = 0;
};

} // namespace yeoul

// The image tower of CLIP (Radford et al., 2021): a photo in, its `image_embeds` out.
//
// The numbers are those of transformers' CLIPVisionModelWithProjection; members carry the names of
// its checkpoint keys.
#pragma once

#include "engine/models/clip_blocks.h"

namespace yeoul {

/// Its products and kernels, for the wave model.
batching::VisionTransformer shape_of(const loader::ClipVisionConfig& config);

class ClipVision final : public VisionModel {
public:
    /// Takes the tensors it needs from `checkpoint`. `table` maps an 8-bit value of each channel to
    /// what the model sees (loader::Preprocessor::normalization_table).
    ClipVision(const loader::ClipVisionConfig& config,
               const std::array<std::array<float, 256>, 3>& table, Checkpoint& checkpoint,
               Backend& backend, Numerics numerics, const std::vector<int>& batches);

    int image_height() const override { return config_.image_size; }
    int image_width() const override { return config_.image_size; }
    int dim() const override { return config_.projection_dim; }
    batching::VisionTransformer shape() const override { return shape_of(config_); }
    double gflop() const override;
    size_t weight_bytes() const override { return weight_bytes_of(ops()); }
    size_t activation_bytes(int batch) const override;
    void forward(const Input& in, const Output& out, Arena arena, StreamRef stream,
                 const Observer& observe) override;
    std::vector<OpPlan> plans() const override { return plans_of(ops(), batches_); }

private:
    struct Buffers {
        View patches;  // (batch, patches, 3 * patch * patch), in the memory of the blocks' qkv
        View embedded; // (batch, patches, dim), in the memory of the blocks' y
        ClipBlocks::Buffers blocks;
    };
    Buffers buffers(Arena& arena, int batch) const;
    /// Every op in the order of the forward pass.
    std::vector<NamedOp> ops() const;

    loader::ClipVisionConfig config_;
    Numerics numerics_;
    std::vector<int> batches_;

    std::unique_ptr<Patches> gather_patches_;
    std::unique_ptr<Linear> patch_embedding_;
    std::unique_ptr<TokenEmbedding> embeddings_; // class token, positions, pre_layrnorm
    ClipBlocks encoder_;
    std::unique_ptr<EmbeddingHead> head_; // post_layernorm, visual_projection
    size_t scratch_bytes_ = 0;
};

} // namespace yeoul

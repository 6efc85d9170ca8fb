// The image tower of CLIP (Radford et al., 2021): a photo in, its `image_embeds` out.
//
// The numbers are those of transformers' CLIPVisionModelWithProjection; members carry the names of
// its checkpoint keys.
#pragma once

#include "engine/models/checkpoint.h"
#include "engine/models/model.h"

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
    size_t weight_bytes() const override { return weight_bytes_; }
    size_t activation_bytes(int batch) const override;
    void forward(const Input& in, const Output& out, Arena arena, StreamRef stream,
                 const Observer& observe) override;
    std::vector<OpPlan> plans() const override;

private:
    struct Layer {
        std::unique_ptr<LayerNorm> layer_norm1;
        std::unique_ptr<Linear> qkv_proj; // q_proj, k_proj and v_proj stacked: one product
        std::unique_ptr<Linear> out_proj;
        std::unique_ptr<LayerNorm> layer_norm2;
        std::unique_ptr<Linear> fc1;
        std::unique_ptr<Linear> fc2;
    };
    struct Buffers {
        View x;        // (batch, tokens, dim)     the residual stream
        View y;        // (batch, tokens, dim)     what a block computes beside it
        View embedded; // (batch, patches, dim)    in the memory of y
        View patches;  // (batch, patches, 3 * patch * patch)
        View qkv;      // (batch, tokens, 3 * dim)           these three live one after another,
        View hidden;   // (batch, tokens, intermediate_size) in the same memory
        Scratch scratch;
    };
    Buffers buffers(Arena& arena, int batch) const;
    /// Every op in the order of the forward pass.
    struct NamedOp {
        std::string name, shape;
        const Op* op;
    };
    std::vector<NamedOp> ops() const;

    loader::ClipVisionConfig config_;
    Numerics numerics_;
    std::vector<int> batches_;

    std::unique_ptr<Patches> gather_patches_;
    std::unique_ptr<Linear> patch_embedding_;
    std::unique_ptr<TokenEmbedding> embeddings_; // class token, positions, pre_layrnorm
    std::vector<Layer> layers_;
    std::unique_ptr<Attention> attention_; // has no weights: one serves all layers
    std::unique_ptr<EmbeddingHead> head_;  // post_layernorm, visual_projection

    size_t weight_bytes_ = 0;
    size_t scratch_bytes_ = 0; // of the op that needs the most; they run one after another
};

} // namespace yeoul

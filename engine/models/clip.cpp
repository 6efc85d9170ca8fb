#include "engine/models/clip.h"

namespace yeoul {

ClipVision::ClipVision(const loader::ClipVisionConfig& config,
                       const std::array<std::array<float, 256>, 3>& table, Checkpoint& checkpoint,
                       Backend& backend, Numerics numerics, const std::vector<int>& batches)
    : config_(config), numerics_(numerics), batches_(batches),
      encoder_(ClipBlocks::Shape::of(config, "vision_model.encoder.layers.", config.tokens(),
                                     /*causal=*/false),
               checkpoint, backend, numerics, batches) {
    const int dim = config.hidden_size, patch = config.patch_size, patches = config.patches();
    const float eps = static_cast<float>(config.layer_norm_eps);
    const DType compute = numerics.compute, residual = numerics.residual;
    const TowerWeights weight{checkpoint, dim};

    const std::string embeddings = "vision_model.embeddings.";
    gather_patches_ = backend.patches({.height = config.image_size,
                                       .width = config.image_size,
                                       .patch = patch,
                                       .out = compute,
                                       .table = table,
                                       .batches = batches});
    patch_embedding_ = backend.linear(
        {.rows = patches,
         .in = 3 * patch * patch,
         .out = dim,
         .x = compute,
         .y = compute,
         .batches = batches},
        {{weight(embeddings + "patch_embedding.weight", {dim, 3, patch, patch})}, {}});
    const NormWeights pre_layrnorm = weight.norm("vision_model.pre_layrnorm");
    embeddings_ = backend.token_embedding(
        {.patches = patches,
         .dim = dim,
         .eps = eps,
         .x = compute,
         .y = residual,
         .batches = batches},
        {.class_embedding = weight(embeddings + "class_embedding", {dim}),
         .position = weight(embeddings + "position_embedding.weight", {config.tokens(), dim}),
         .norm_weight = pre_layrnorm.weight,
         .norm_bias = pre_layrnorm.bias});
    head_ =
        backend.embedding_head({.tokens = config.tokens(),
                                .dim = dim,
                                .out = config.projection_dim,
                                .eps = eps,
                                .x = residual,
                                .compute = compute,
                                .batches = batches},
                               {weight.norm("vision_model.post_layernorm"),
                                weight("visual_projection.weight", {config.projection_dim, dim})});
    checkpoint.drop_taken();
    scratch_bytes_ = scratch_bytes_of(ops());
}

void ClipVision::forward(const Input& in, const Output& out, Arena arena, StreamRef stream,
                         const Observer& observe) {
    const auto [patches, embedded, blocks] = buffers(arena, in.index.shape[0]);
    const auto& [x, y, qkv, hidden, scratch] = blocks;
    const auto seen = [&](const std::string& name, const View& tensor) {
        if (observe)
            observe(name, tensor);
    };

    (*gather_patches_)(in.slots, in.index, patches, stream);
    (*patch_embedding_)(patches, embedded, scratch, stream);
    (*embeddings_)(embedded, x, scratch, stream);
    seen("vision_model.pre_layrnorm", x);

    encoder_.forward(blocks, stream, observe);

    (*head_)(x, out.embeds, out.norms, scratch, stream);
    seen("image_embeds", out.embeds);
}

ClipVision::Buffers ClipVision::buffers(Arena& arena, int batch) const {
    const int patch_dim = 3 * config_.patch_size * config_.patch_size;
    Buffers b;
    b.patches = View(nullptr, numerics_.compute, {batch, config_.patches(), patch_dim});
    b.blocks = encoder_.buffers(arena, batch, scratch_bytes_, b.patches.bytes());
    b.patches.data = b.blocks.qkv.data;
    b.embedded =
        View(b.blocks.y.data, numerics_.compute, {batch, config_.patches(), config_.hidden_size});
    return b;
}

size_t ClipVision::activation_bytes(int batch) const {
    Arena counting;
    buffers(counting, batch);
    return counting.used_bytes();
}

batching::VisionTransformer shape_of(const loader::ClipVisionConfig& config) {
    constexpr int kKernelsPerLayer = 6, kOtherKernels = 8;
    return {.tokens = config.tokens(),
            .patches = config.patches(),
            .patch_dim = 3 * config.patch_size * config.patch_size,
            .hidden_dim = config.hidden_size,
            .mlp_dim = config.intermediate_size,
            .layers = config.num_hidden_layers,
            .projection_dim = config.projection_dim,
            .kernels = kKernelsPerLayer * config.num_hidden_layers + kOtherKernels};
}

double ClipVision::gflop() const {
    const double dim = config_.hidden_size, patches = config_.patches();
    const double macs = patches * dim * 3 * config_.patch_size * config_.patch_size +
                        encoder_.macs() + dim * config_.projection_dim;
    return 2 * macs / 1e9;
}

std::vector<NamedOp> ClipVision::ops() const {
    const std::string dim = std::to_string(config_.hidden_size);
    const std::string patches = "(" + std::to_string(config_.patches()) + ", " +
                                std::to_string(3 * config_.patch_size * config_.patch_size) + ")";
    std::vector<NamedOp> list = {
        {"patches", patches, gather_patches_.get()},
        {"patch_embedding", patches + " -> " + dim, patch_embedding_.get()},
        {"pre_layrnorm", "(" + std::to_string(config_.tokens()) + ", " + dim + ")",
         embeddings_.get()},
    };
    for (NamedOp& op : encoder_.ops())
        list.push_back(std::move(op));
    list.push_back({"post_layernorm + visual_projection",
                    "(1, " + dim + ") -> " + std::to_string(config_.projection_dim), head_.get()});
    return list;
}

} // namespace yeoul

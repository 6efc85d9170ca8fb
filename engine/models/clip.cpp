#include "engine/models/clip.h"

#include <algorithm>
#include <cmath>

namespace yeoul {
namespace {

Activation activation(const std::string& hidden_act) {
    if (hidden_act == "quick_gelu")
        return Activation::quick_gelu;
    if (hidden_act == "gelu")
        return Activation::gelu;
    if (hidden_act == "gelu_pytorch_tanh" || hidden_act == "gelu_new")
        return Activation::gelu_tanh;
    if (hidden_act == "relu")
        return Activation::relu;
    throw Error(ErrorCode::model,
                "hidden_act '" + hidden_act +
                    "' is not known; quick_gelu, gelu, gelu_pytorch_tanh and relu are");
}

} // namespace

ClipVision::ClipVision(const loader::ClipVisionConfig& config,
                       const std::array<std::array<float, 256>, 3>& table, Checkpoint& checkpoint,
                       Backend& backend, Numerics numerics, const std::vector<int>& batches)
    : config_(config), numerics_(numerics), batches_(batches) {
    const int dim = config.hidden_size, hidden_dim = config.intermediate_size;
    const int patch = config.patch_size, patches = config.patches(), tokens = config.tokens();
    const float eps = static_cast<float>(config.layer_norm_eps);
    const DType compute = numerics.compute, residual = numerics.residual;

    const auto weight = [&](const std::string& name, std::initializer_list<int> shape) {
        return checkpoint.tensor(name, shape);
    };
    const auto norm = [&](const std::string& name) {
        return NormWeights{weight(name + ".weight", {dim}), weight(name + ".bias", {dim})};
    };
    // y = act(x w^T + b) for each token
    const auto linear = [&](const std::vector<std::string>& parts, int in, int out_each,
                            Activation act) {
        LinearWeights w;
        for (const std::string& part : parts) {
            w.weight.push_back(weight(part + ".weight", {out_each, in}));
            w.bias.push_back(weight(part + ".bias", {out_each}));
        }
        const int out = out_each * static_cast<int>(parts.size());
        return backend.linear({.rows = tokens,
                               .in = in,
                               .out = out,
                               .activation = act,
                               .x = compute,
                               .y = compute,
                               .batches = batches},
                              w);
    };
    // x += y w^T + b for each token
    const auto linear_add = [&](const std::string& name, int in) {
        return backend.linear(
            {.rows = tokens,
             .in = in,
             .out = dim,
             .accumulate = true,
             .x = compute,
             .y = residual,
             .batches = batches},
            {{weight(name + ".weight", {dim, in})}, {weight(name + ".bias", {dim})}});
    };
    const auto layer_norm = [&](const std::string& name) {
        return backend.layer_norm({.rows = tokens,
                                   .dim = dim,
                                   .eps = eps,
                                   .x = residual,
                                   .y = compute,
                                   .batches = batches},
                                  norm(name));
    };

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
    const NormWeights pre_layrnorm = norm("vision_model.pre_layrnorm");
    embeddings_ = backend.token_embedding(
        {.patches = patches,
         .dim = dim,
         .eps = eps,
         .x = compute,
         .y = residual,
         .batches = batches},
        {.class_embedding = weight(embeddings + "class_embedding", {dim}),
         .position = weight(embeddings + "position_embedding.weight", {tokens, dim}),
         .norm_weight = pre_layrnorm.weight,
         .norm_bias = pre_layrnorm.bias});

    for (int i = 0; i < config.num_hidden_layers; ++i) {
        const std::string layer = "vision_model.encoder.layers." + std::to_string(i) + ".";
        const std::string attn = layer + "self_attn.", mlp = layer + "mlp.";
        layers_.push_back({
            .layer_norm1 = layer_norm(layer + "layer_norm1"),
            .qkv_proj = linear({attn + "q_proj", attn + "k_proj", attn + "v_proj"}, dim, dim,
                               Activation::none),
            .out_proj = linear_add(attn + "out_proj", dim),
            .layer_norm2 = layer_norm(layer + "layer_norm2"),
            .fc1 = linear({mlp + "fc1"}, dim, hidden_dim, activation(config.hidden_act)),
            .fc2 = linear_add(mlp + "fc2", hidden_dim),
        });
        checkpoint.drop_taken();
    }
    attention_ =
        backend.attention({.tokens = tokens,
                           .heads = config.num_attention_heads,
                           .head_dim = config.head_dim(),
                           .scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim())),
                           .dtype = compute,
                           .batches = batches});
    head_ =
        backend.embedding_head({.tokens = tokens,
                                .dim = dim,
                                .out = config.projection_dim,
                                .eps = eps,
                                .x = residual,
                                .compute = compute,
                                .batches = batches},
                               {norm("vision_model.post_layernorm"),
                                weight("visual_projection.weight", {config.projection_dim, dim})});
    checkpoint.drop_taken();

    for (const NamedOp& named : ops()) {
        weight_bytes_ += named.op->weight_bytes();
        scratch_bytes_ = std::max(scratch_bytes_, named.op->scratch_bytes());
    }
}

void ClipVision::forward(const Input& in, const Output& out, Arena arena, StreamRef stream,
                         const Observer& observe) {
    const int batch = in.index.shape[0];
    const auto [x, y, embedded, patches, qkv, hidden, scratch] = buffers(arena, batch);
    const auto seen = [&](const std::string& name, const View& tensor) {
        if (observe)
            observe(name, tensor);
    };

    (*gather_patches_)(in.slots, in.index, patches, stream);
    (*patch_embedding_)(patches, embedded, scratch, stream);
    (*embeddings_)(embedded, x, scratch, stream);
    seen("vision_model.pre_layrnorm", x);

    for (size_t i = 0; i < layers_.size(); ++i) {
        const Layer& layer = layers_[i];
        (*layer.layer_norm1)(x, y, scratch, stream);
        (*layer.qkv_proj)(y, qkv, scratch, stream);
        (*attention_)(qkv, y, scratch, stream);
        (*layer.out_proj)(y, x, scratch, stream); // x += attention
        (*layer.layer_norm2)(x, y, scratch, stream);
        (*layer.fc1)(y, hidden, scratch, stream);
        (*layer.fc2)(hidden, x, scratch, stream); // x += mlp
        seen("vision_model.encoder.layers." + std::to_string(i), x);
    }

    (*head_)(x, out.embeds, out.norms, scratch, stream);
    seen("image_embeds", out.embeds);
}

ClipVision::Buffers ClipVision::buffers(Arena& arena, int batch) const {
    const int dim = config_.hidden_size, patches = config_.patches(), tokens = config_.tokens();
    const int patch_dim = 3 * config_.patch_size * config_.patch_size;
    const DType compute = numerics_.compute;

    Buffers b;
    b.x = arena.view(numerics_.residual, {batch, tokens, dim});
    b.y = arena.view(compute, {batch, tokens, dim});
    b.embedded = View(b.y.data, compute, {batch, patches, dim});

    b.patches = View(nullptr, compute, {batch, patches, patch_dim});
    b.qkv = View(nullptr, compute, {batch, tokens, 3 * dim});
    b.hidden = View(nullptr, compute, {batch, tokens, config_.intermediate_size});
    const size_t widest = std::max({b.patches.bytes(), b.qkv.bytes(), b.hidden.bytes()});
    b.patches.data = b.qkv.data = b.hidden.data = arena.scratch(widest).data;

    b.scratch = arena.scratch(scratch_bytes_);
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
    const double dim = config_.hidden_size, tokens = config_.tokens(), patches = config_.patches();
    const double block = tokens * dim * (4 * dim + 2.0 * config_.intermediate_size) // weights
                         + 2 * tokens * tokens * dim;                               // q k^T, p v
    const double macs = patches * dim * 3 * config_.patch_size * config_.patch_size +
                        config_.num_hidden_layers * block + dim * config_.projection_dim;
    return 2 * macs / 1e9;
}

std::vector<ClipVision::NamedOp> ClipVision::ops() const {
    const std::string tokens = std::to_string(config_.tokens());
    const std::string patches = std::to_string(config_.patches());
    const std::string dim = std::to_string(config_.hidden_size);
    const std::string hidden_dim = std::to_string(config_.intermediate_size);
    const std::string patch_dim = std::to_string(3 * config_.patch_size * config_.patch_size);
    const std::string rows = "(" + tokens + ", " + dim + ")";
    const std::string head = "(" + tokens + ", " + std::to_string(config_.head_dim()) + ")";

    std::vector<NamedOp> list = {
        {"patches", "(" + patches + ", " + patch_dim + ")", gather_patches_.get()},
        {"patch_embedding", "(" + patches + ", " + patch_dim + ") -> " + dim,
         patch_embedding_.get()},
        {"pre_layrnorm", rows, embeddings_.get()},
    };
    for (const Layer& layer : layers_) {
        const std::vector<NamedOp> block = {
            {"layer_norm1", rows, layer.layer_norm1.get()},
            {"qkv_proj", rows + " -> 3 x " + dim, layer.qkv_proj.get()},
            {"attention", std::to_string(config_.num_attention_heads) + " x " + head,
             attention_.get()},
            {"out_proj", rows + " -> " + dim, layer.out_proj.get()},
            {"layer_norm2", rows, layer.layer_norm2.get()},
            {"fc1 + " + config_.hidden_act, rows + " -> " + hidden_dim, layer.fc1.get()},
            {"fc2", "(" + tokens + ", " + hidden_dim + ") -> " + dim, layer.fc2.get()},
        };
        list.insert(list.end(), block.begin(), block.end());
    }
    list.push_back({"post_layernorm + visual_projection",
                    "(1, " + dim + ") -> " + std::to_string(config_.projection_dim), head_.get()});
    return list;
}

std::vector<OpPlan> ClipVision::plans() const {
    std::vector<OpPlan> plans;
    for (const NamedOp& named : ops()) {
        const bool listed = std::any_of(plans.begin(), plans.end(),
                                        [&](const OpPlan& plan) { return plan.op == named.name; });
        if (listed)
            continue; // the layers are alike
        const std::string smallest = named.op->kernel(batches_.front());
        const std::string largest = named.op->kernel(batches_.back());
        plans.push_back({.op = named.name,
                         .shape = named.shape,
                         .target = {},
                         .kernel = smallest == largest
                                       ? smallest
                                       : smallest + " (batch " + std::to_string(batches_.front()) +
                                             "), " + largest + " (batch " +
                                             std::to_string(batches_.back()) + ")",
                         .why = {}});
    }
    return plans;
}

} // namespace yeoul

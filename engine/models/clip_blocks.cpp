#include "engine/models/clip_blocks.h"

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

ClipBlocks::ClipBlocks(Shape shape, Checkpoint& checkpoint, Backend& backend, Numerics numerics,
                       const std::vector<int>& batches)
    : shape_(std::move(shape)), numerics_(numerics) {
    const int dim = shape_.dim, tokens = shape_.tokens, head_dim = dim / shape_.heads;
    const DType compute = numerics.compute, residual = numerics.residual;
    const TowerWeights weight{checkpoint, dim};

    // y = act(x w^T + b) for each token
    const auto linear = [&](const std::vector<std::string>& parts, int in, int out_each,
                            Activation act) {
        LinearWeights w;
        for (const std::string& part : parts) {
            w.weight.push_back(weight(part + ".weight", {out_each, in}));
            w.bias.push_back(weight(part + ".bias", {out_each}));
        }
        return backend.linear({.rows = tokens,
                               .in = in,
                               .out = out_each * static_cast<int>(parts.size()),
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
                                   .eps = shape_.eps,
                                   .x = residual,
                                   .y = compute,
                                   .batches = batches},
                                  weight.norm(name));
    };

    for (int i = 0; i < shape_.layers; ++i) {
        const std::string layer = shape_.prefix + std::to_string(i) + ".";
        const std::string attn = layer + "self_attn.", mlp = layer + "mlp.";
        layers_.push_back({
            .layer_norm1 = layer_norm(layer + "layer_norm1"),
            .qkv_proj = linear({attn + "q_proj", attn + "k_proj", attn + "v_proj"}, dim, dim,
                               Activation::none),
            .out_proj = linear_add(attn + "out_proj", dim),
            .layer_norm2 = layer_norm(layer + "layer_norm2"),
            .fc1 = linear({mlp + "fc1"}, dim, shape_.hidden_dim, activation(shape_.hidden_act)),
            .fc2 = linear_add(mlp + "fc2", shape_.hidden_dim),
        });
        checkpoint.drop_taken();
    }
    attention_ = backend.attention({.tokens = tokens,
                                    .heads = shape_.heads,
                                    .head_dim = head_dim,
                                    .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                                    .causal = shape_.causal,
                                    .dtype = compute,
                                    .batches = batches});
}

void ClipBlocks::forward(const Buffers& buffers, StreamRef stream, const Observer& observe) const {
    const auto& [x, y, qkv, hidden, scratch] = buffers;
    for (size_t i = 0; i < layers_.size(); ++i) {
        const Layer& layer = layers_[i];
        (*layer.layer_norm1)(x, y, scratch, stream);
        (*layer.qkv_proj)(y, qkv, scratch, stream);
        (*attention_)(qkv, y, scratch, stream);
        (*layer.out_proj)(y, x, scratch, stream); // x += attention
        (*layer.layer_norm2)(x, y, scratch, stream);
        (*layer.fc1)(y, hidden, scratch, stream);
        (*layer.fc2)(hidden, x, scratch, stream); // x += mlp
        if (observe)
            observe(shape_.prefix + std::to_string(i), x);
    }
}

ClipBlocks::Buffers ClipBlocks::buffers(Arena& arena, int batch, size_t scratch_bytes,
                                        size_t widest_bytes) const {
    const int tokens = shape_.tokens, dim = shape_.dim;
    const DType compute = numerics_.compute;
    Buffers b;
    b.x = arena.view(numerics_.residual, {batch, tokens, dim});
    b.y = arena.view(compute, {batch, tokens, dim});
    b.qkv = View(nullptr, compute, {batch, tokens, 3 * dim});
    b.hidden = View(nullptr, compute, {batch, tokens, shape_.hidden_dim});
    const size_t widest = std::max({widest_bytes, b.qkv.bytes(), b.hidden.bytes()});
    b.qkv.data = b.hidden.data = arena.scratch(widest).data;
    b.scratch = arena.scratch(scratch_bytes);
    return b;
}

std::vector<NamedOp> ClipBlocks::ops() const {
    const std::string tokens = std::to_string(shape_.tokens), dim = std::to_string(shape_.dim);
    const std::string hidden_dim = std::to_string(shape_.hidden_dim);
    const std::string rows = "(" + tokens + ", " + dim + ")";
    const std::string head = "(" + tokens + ", " + std::to_string(shape_.dim / shape_.heads) + ")";
    std::vector<NamedOp> list;
    for (const Layer& layer : layers_) {
        const std::vector<NamedOp> block = {
            {"layer_norm1", rows, layer.layer_norm1.get()},
            {"qkv_proj", rows + " -> 3 x " + dim, layer.qkv_proj.get()},
            {"attention", std::to_string(shape_.heads) + " x " + head, attention_.get()},
            {"out_proj", rows + " -> " + dim, layer.out_proj.get()},
            {"layer_norm2", rows, layer.layer_norm2.get()},
            {"fc1 + " + shape_.hidden_act, rows + " -> " + hidden_dim, layer.fc1.get()},
            {"fc2", "(" + tokens + ", " + hidden_dim + ") -> " + dim, layer.fc2.get()},
        };
        list.insert(list.end(), block.begin(), block.end());
    }
    return list;
}

double ClipBlocks::macs() const {
    const double dim = shape_.dim, tokens = shape_.tokens;
    return shape_.layers * (tokens * dim * (4 * dim + 2.0 * shape_.hidden_dim) // weights
                            + 2 * tokens * tokens * dim);                      // q k^T, p v
}

std::vector<OpPlan> plans_of(const std::vector<NamedOp>& ops, const std::vector<int>& batches) {
    std::vector<OpPlan> plans;
    for (const NamedOp& named : ops) {
        const bool listed = std::any_of(plans.begin(), plans.end(),
                                        [&](const OpPlan& plan) { return plan.op == named.name; });
        if (listed)
            continue; // the layers are alike
        const std::string smallest = named.op->kernel(batches.front());
        const std::string largest = named.op->kernel(batches.back());
        plans.push_back({.op = named.name,
                         .shape = named.shape,
                         .target = {},
                         .kernel = smallest == largest
                                       ? smallest
                                       : smallest + " (batch " + std::to_string(batches.front()) +
                                             "), " + largest + " (batch " +
                                             std::to_string(batches.back()) + ")",
                         .why = {}});
    }
    return plans;
}

size_t weight_bytes_of(const std::vector<NamedOp>& ops) {
    size_t bytes = 0;
    for (const NamedOp& named : ops)
        bytes += named.op->weight_bytes();
    return bytes;
}

size_t scratch_bytes_of(const std::vector<NamedOp>& ops) {
    size_t bytes = 0;
    for (const NamedOp& named : ops)
        bytes = std::max(bytes, named.op->scratch_bytes());
    return bytes;
}

} // namespace yeoul

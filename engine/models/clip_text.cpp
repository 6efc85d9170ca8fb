#include "engine/models/clip_text.h"

#include <cmath>
#include <cstring>

#include "loader/narrow.h"

namespace yeoul {
namespace {

// A scalar that files store in fp32, or in what they store the weights.
float scalar(const View& view) {
    if (view.dtype == DType::f32) {
        float value;
        std::memcpy(&value, view.data, sizeof value); // at any address
        return value;
    }
    uint16_t bits;
    std::memcpy(&bits, view.data, sizeof bits);
    return view.dtype == DType::bf16 ? loader::from_bf16(bits) : loader::from_fp16(bits);
}

float read_scale(Checkpoint& checkpoint) {
    const float logit_scale = scalar(checkpoint.tensor("logit_scale", {}));
    const float scale = std::exp(logit_scale);
    if (!(std::isfinite(scale) && scale > 0))
        throw Error(ErrorCode::model, "logit_scale is " + std::to_string(logit_scale) +
                                          ": its exponential is not a positive number");
    return scale;
}

} // namespace

ClipText::ClipText(const loader::ClipTextConfig& config, Checkpoint& checkpoint, Backend& backend,
                   Numerics numerics, const std::vector<int>& batches)
    : config_(config), batches_(batches), scale_(read_scale(checkpoint)),
      encoder_(ClipBlocks::Shape::of(config, "text_model.encoder.layers.",
                                     config.max_position_embeddings, /*causal=*/true),
               checkpoint, backend, numerics, batches) {
    const int dim = config.hidden_size, tokens = config.max_position_embeddings;
    const TowerWeights weight{checkpoint, dim};
    const std::string embeddings = "text_model.embeddings.";
    embeddings_ = backend.text_embedding(
        {.vocabulary = config.vocab_size,
         .tokens = tokens,
         .dim = dim,
         .y = numerics.residual,
         .batches = batches},
        {.token = weight(embeddings + "token_embedding.weight", {config.vocab_size, dim}),
         .position = weight(embeddings + "position_embedding.weight", {tokens, dim})});
    checkpoint.drop_taken();
    head_ =
        backend.embedding_head({.tokens = tokens,
                                .dim = dim,
                                .out = config.projection_dim,
                                .eps = static_cast<float>(config.layer_norm_eps),
                                .x = numerics.residual,
                                .compute = numerics.compute,
                                .batches = batches},
                               {weight.norm("text_model.final_layer_norm"),
                                weight("text_projection.weight", {config.projection_dim, dim})});
    checkpoint.drop_taken();
    scratch_bytes_ = scratch_bytes_of(ops());
}

int ClipText::pooled_token(std::span<const int32_t> ids) const {
    const auto token = config_.pools_largest_id()
                           ? std::max_element(ids.begin(), ids.end())
                           : std::find(ids.begin(), ids.end(), config_.eos_token_id);
    YEOUL_REQUIRE(token != ids.end(), "the text has no end token, id " << config_.eos_token_id);
    return static_cast<int>(token - ids.begin());
}

void ClipText::forward(const Input& in, const Output& out, Arena arena, StreamRef stream,
                       const Observer& observe) const {
    const ClipBlocks::Buffers blocks = encoder_.buffers(arena, in.ids.shape[0], scratch_bytes_);
    const auto& [x, y, qkv, hidden, scratch] = blocks;
    const auto seen = [&](const std::string& name, const View& tensor) {
        if (observe)
            observe(name, tensor);
    };

    (*embeddings_)(in.ids, x, stream);
    seen("text_model.embeddings", x);

    encoder_.forward(blocks, stream, observe);

    (*head_)(x, in.pooled, out.embeds, out.norms, scratch, stream);
    seen("text_embeds", out.embeds);
}

size_t ClipText::activation_bytes(int batch) const {
    Arena counting;
    encoder_.buffers(counting, batch, scratch_bytes_);
    return counting.used_bytes();
}

std::vector<NamedOp> ClipText::ops() const {
    const std::string dim = std::to_string(config_.hidden_size);
    const std::string rows = "(" + std::to_string(context()) + ", " + dim + ")";
    std::vector<NamedOp> list = {{"text_embedding", rows, embeddings_.get()}};
    for (NamedOp& op : encoder_.ops())
        list.push_back(std::move(op));
    list.push_back({"final_layer_norm + text_projection",
                    "(1, " + dim + ") -> " + std::to_string(config_.projection_dim), head_.get()});
    return list;
}

} // namespace yeoul

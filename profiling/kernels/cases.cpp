#include <algorithm>
#include <cstring>
#include <numeric>

#include "profiling/kernels/case_state.h"

namespace yeoul::bench_kernels {
namespace {

constexpr size_t kAlignment = 256;

size_t align(size_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

} // namespace

void upload(Backend& backend, void* y, const void* x, size_t bytes) {
    const Stream stream(backend);
    const PinnedMemory pinned = make_pinned_memory(backend, bytes);
    std::memcpy(pinned.get(), x, bytes);
    backend.copy(y, pinned.get(), bytes, CopyKind::host_to_device, stream);
    backend.synchronize(StreamRef(stream));
}

std::string row_shape(int rows, int columns) {
    return "(" + std::to_string(rows) + ", " + std::to_string(columns) + ")";
}

Shapes shapes(const std::string& name) {
    for (const Shapes& known :
         {Shapes{"b32", 224, 32, 768, 12, 3072, 512}, Shapes{"b16", 224, 16, 768, 12, 3072, 512},
          Shapes{"l14", 224, 14, 1024, 16, 4096, 768}, Shapes{"tiny", 64, 16, 128, 2, 256, 64}})
        if (known.name == name)
            return known;
    throw Error(ErrorCode::invalid_argument,
                "model '" + name + "' is not known: take b32, b16, l14 or tiny");
}

Values::Values(Backend& backend, DType dtype, size_t bytes)
    : memory_(make_device_memory(backend, align(bytes))), bytes_(align(bytes)) {
    std::mt19937 random(1);
    std::vector<uint32_t> words(bytes_ / 4);
    for (uint32_t& word : words) {
        const auto bits = static_cast<uint32_t>(random());
        switch (dtype) { // keep sign and mantissa, and the exponent of 0.5
        case DType::f16:
            word = (bits & 0x83ff83ffu) | 0x38003800u;
            break;
        case DType::bf16:
            word = (bits & 0x807f807fu) | 0x3f003f00u;
            break;
        case DType::f32:
            word = (bits & 0x807fffffu) | 0x3f000000u;
            break;
        default:
            word = bits;
        }
    }
    upload(backend, memory_.get(), words.data(), bytes_);
}

void* Values::at(size_t bytes, int turn) const {
    const size_t places = std::max<size_t>(1, bytes_ / align(bytes));
    return static_cast<std::byte*>(memory_.get()) + turn % places * align(bytes);
}

Cases::Cases(Backend& backend, Numerics numerics, std::vector<int> batches, size_t rotate_bytes)
    : state_(new State{.backend = backend,
                       .numerics = numerics,
                       .batches = std::move(batches),
                       .rotate_bytes = rotate_bytes}) {}
Cases::~Cases() = default;

/// Fills in the types of `desc` and the batches.
void Cases::add_linear(const char* name, const Shapes& model, LinearDesc desc) {
    State& state = *state_;
    desc.x = state.numerics.compute;
    desc.y = desc.accumulate ? state.numerics.residual : state.numerics.compute;
    desc.batches = state.batches;
    add_op(name, model, [&] {
        std::shared_ptr<Linear> op = state.backend.linear(
            desc, {{state.weight({desc.out, desc.in}, desc.accumulate ? 1e-5f : 1e-2f)},
                   {state.weight({desc.out}, 1e-5f)}});
        return std::pair(std::shared_ptr<Op>(op), [=, &state](int batch) {
            const double m = static_cast<double>(batch) * desc.rows, in = desc.in, out = desc.out;
            const auto wide = static_cast<double>(size_bytes(desc.x));
            const double wide_y =
                static_cast<double>(size_bytes(desc.y)) * (desc.accumulate ? 2 : 1);
            return Case{.shape = row_shape(desc.rows, desc.in) + " -> " + std::to_string(desc.out),
                        .flop = 2 * m * in * out,
                        .bytes = wide * (m * in + in * out) + wide_y * m * out,
                        .product = true,
                        .call = [=, &state](int turn, StreamRef stream) {
                            (*op)(state.input({batch, desc.rows, desc.in}, desc.x, turn),
                                  state.output({batch, desc.rows, desc.out}, desc.y, turn),
                                  state.scratch_of(*op), stream);
                        }};
        });
    });
}

/// Fills in the scale, the type of `desc` and the batches. Of a causal one it counts the products
/// that are not masked.
void Cases::add_attention(const char* name, const Shapes& model, AttentionDesc desc) {
    State& state = *state_;
    desc.scale = 0.125f;
    desc.dtype = state.numerics.compute;
    desc.batches = state.batches;
    add_op(name, model, [&] {
        std::shared_ptr<Attention> op = state.backend.attention(desc);
        return std::pair(std::shared_ptr<Op>(op), [=, &state](int batch) {
            const int tokens = desc.tokens, dim = desc.heads * desc.head_dim;
            const double pairs = desc.causal ? 0.5 * tokens * (tokens + 1) : 1.0 * tokens * tokens;
            const double wide = static_cast<double>(size_bytes(desc.dtype));
            return Case{.shape =
                            std::to_string(desc.heads) + " x " + row_shape(tokens, desc.head_dim),
                        .flop = 4.0 * batch * pairs * dim,
                        .bytes = wide * 4 * batch * tokens * dim,
                        .product = true,
                        .call = [=, &state](int turn, StreamRef stream) {
                            (*op)(state.input({batch, tokens, 3 * dim}, desc.dtype, turn),
                                  state.output({batch, tokens, dim}, desc.dtype, turn),
                                  state.scratch_of(*op), stream);
                        }};
        });
    });
}

void Cases::add_others(const Shapes& model) {
    // Of the text tower that goes with the model.
    constexpr int kTextTokens = 77, kHeadDim = 64;
    State& state = *state_;
    const int largest = *std::max_element(state.batches.begin(), state.batches.end());
    const size_t text_bytes = size_t{3 * 4} * largest * kTextTokens * model.out;
    state.grow(state.x, state.numerics.compute, text_bytes);
    state.grow(state.y, state.numerics.residual, text_bytes);
    add_attention("attention_causal", model,
                  {.tokens = kTextTokens,
                   .heads = std::max(1, model.out / kHeadDim),
                   .head_dim = kHeadDim,
                   .causal = true});
    for (const auto& [name, head_dim] : {std::pair("attention_32", 32),
                                         {"attention_72", 72},
                                         {"attention_80", 80},
                                         {"attention_96", 96},
                                         {"attention_128", 128}})
        add_attention(name, model,
                      {.tokens = model.tokens(),
                       .heads = std::max(1, model.dim / head_dim),
                       .head_dim = head_dim});
    // Where the library's product serves, an activation that it lacks is a pass of its own,
    // bias_activation: its time is that of such a line less fc1_plain's.
    const LinearDesc fc1{.rows = model.tokens(), .in = model.dim, .out = model.hidden_dim};
    add_linear("fc1_plain", model, fc1);
    for (const auto& [name, activation] :
         {std::pair("fc1_gelu", Activation::gelu), {"fc1_gelu_tanh", Activation::gelu_tanh}}) {
        LinearDesc activated = fc1;
        activated.activation = activation;
        add_linear(name, model, activated);
    }
}

void Cases::add_roof(int edge) {
    State& state = *state_;
    const size_t bytes = size_t{4} * edge * edge;
    state.grow(state.x, state.numerics.compute, bytes);
    state.grow(state.y, state.numerics.residual, bytes);
    std::vector<int> one = {1};
    std::swap(state.batches, one);
    Shapes square;
    square.name = "square";
    add_linear("linear", square, {.rows = edge, .in = edge, .out = edge});
    std::swap(state.batches, one);
}

void Cases::add(const Shapes& model) {
    State& state = *state_;
    Backend& backend = state.backend;
    const DType compute = state.numerics.compute, residual = state.numerics.residual;
    const double wide = static_cast<double>(size_bytes(compute));
    const double wide_residual = static_cast<double>(size_bytes(residual));
    const int dim = model.dim, tokens = model.tokens(), patches = model.patches();
    const int largest = *std::max_element(state.batches.begin(), state.batches.end());

    const size_t row_bytes = static_cast<size_t>(largest) * tokens * 4;
    state.grow(state.x, compute,
               row_bytes * std::max({3 * dim, model.hidden_dim, model.patch_dim()}));
    state.grow(state.y, residual,
               row_bytes * std::max({3 * dim, model.hidden_dim, model.patch_dim()}));
    const size_t photo_bytes = size_t{3} * model.image * model.image;
    state.grow(state.photos, DType::u8, photo_bytes * largest);
    if (!state.index) {
        state.index = std::make_unique<Values>(backend, DType::i32, 4 * size_t(largest));
        state.grow(state.norms, DType::f32, 4 * size_t(largest));
        std::vector<int> order(largest);
        std::iota(order.begin(), order.end(), 0);
        upload(backend, state.index->at(1, 0), order.data(), 4 * order.size());
    }

    add_op("patches", model, [&] {
        PatchesDesc desc{.height = model.image,
                         .width = model.image,
                         .patch = model.patch,
                         .out = compute,
                         .batches = state.batches};
        for (auto& channel : desc.table)
            for (int value = 0; value < 256; ++value)
                channel[value] = static_cast<float>(value - 128) / 64;
        std::shared_ptr<Patches> op = backend.patches(desc);
        return std::pair(std::shared_ptr<Op>(op), [&state, op, model, compute, wide](int batch) {
            const double pixels = 3.0 * batch * model.image * model.image;
            return Case{
                .shape = row_shape(model.patches(), model.patch_dim()),
                .bytes = pixels * (1 + wide),
                .call = [&state, op, model, compute, batch](int turn, StreamRef stream) {
                    View slots(nullptr, DType::u8, {batch, model.image, model.image, 3});
                    slots.data = state.photos->at(slots.bytes(), turn);
                    const View index(state.index->at(1, 0), DType::i32, {batch});
                    (*op)(slots, index,
                          state.output({batch, model.patches(), model.patch_dim()}, compute, turn),
                          stream);
                }};
        });
    });

    add_linear("patch_embedding", model, {.rows = patches, .in = model.patch_dim(), .out = dim});

    add_op("token_embedding", model, [&] {
        std::shared_ptr<TokenEmbedding> op = backend.token_embedding(
            {.patches = patches, .dim = dim, .x = compute, .y = residual, .batches = state.batches},
            {.class_embedding = state.weight({dim}),
             .position = state.weight({tokens, dim}),
             .norm_weight = state.weight({dim}, 1),
             .norm_bias = state.weight({dim})});
        return std::pair(std::shared_ptr<Op>(op), [=, &state](int batch) {
            return Case{
                .shape = row_shape(tokens, dim),
                .bytes = dim * (batch * (wide * patches + wide_residual * tokens) + wide * tokens),
                .call = [=, &state](int turn, StreamRef stream) {
                    (*op)(state.input({batch, patches, dim}, compute, turn),
                          state.output({batch, tokens, dim}, residual, turn), state.scratch_of(*op),
                          stream);
                }};
        });
    });

    add_op("layer_norm", model, [&] {
        std::shared_ptr<LayerNorm> op = backend.layer_norm(
            {.rows = tokens, .dim = dim, .x = residual, .y = compute, .batches = state.batches},
            {state.weight({dim}, 1), state.weight({dim})});
        return std::pair(std::shared_ptr<Op>(op), [=, &state](int batch) {
            return Case{.shape = row_shape(tokens, dim),
                        .bytes = (wide + wide_residual) * batch * tokens * dim,
                        .call = [=, &state](int turn, StreamRef stream) {
                            (*op)(state.input({batch, tokens, dim}, residual, turn),
                                  state.output({batch, tokens, dim}, compute, turn),
                                  state.scratch_of(*op), stream);
                        }};
        });
    });

    add_linear("qkv_proj", model, {.rows = tokens, .in = dim, .out = 3 * dim});

    add_attention("attention", model,
                  {.tokens = tokens, .heads = model.heads, .head_dim = dim / model.heads});

    add_linear("out_proj", model, {.rows = tokens, .in = dim, .out = dim, .accumulate = true});
    add_linear(
        "fc1", model,
        {.rows = tokens, .in = dim, .out = model.hidden_dim, .activation = Activation::quick_gelu});
    add_linear("fc2", model,
               {.rows = tokens, .in = model.hidden_dim, .out = dim, .accumulate = true});

    add_op("embedding_head", model, [&] {
        const int out = model.out;
        std::shared_ptr<EmbeddingHead> op = backend.embedding_head(
            {.tokens = tokens,
             .dim = dim,
             .out = out,
             .x = residual,
             .compute = compute,
             .batches = state.batches},
            {{state.weight({dim}, 1), state.weight({dim})}, state.weight({out, dim})});
        return std::pair(std::shared_ptr<Op>(op), [=, &state](int batch) {
            return Case{.shape = "(1, " + std::to_string(dim) + ") -> " + std::to_string(out),
                        .flop = 2.0 * batch * dim * out,
                        .bytes = wide * dim * out + batch * (wide_residual * dim + 4.0 * out),
                        .call = [=, &state](int turn, StreamRef stream) {
                            (*op)(state.input({batch, tokens, dim}, residual, turn),
                                  state.output({batch, out}, DType::f32, turn),
                                  View(state.norms->at(1, 0), DType::f32, {batch}),
                                  state.scratch_of(*op), stream);
                        }};
        });
    });
}

} // namespace yeoul::bench_kernels

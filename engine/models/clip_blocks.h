// What both towers of CLIP (Radford et al., 2021) consist of: blocks of attention and an MLP, each
// after a norm and added to the residual stream. Members carry the names of the checkpoint's keys.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "engine/models/checkpoint.h"
#include "engine/models/model.h"

namespace yeoul {

/// An op and what `inspect` says of it.
struct NamedOp {
    std::string name, shape;
    const Op* op;
};
/// Which kernel serves each, at the smallest and the largest batch; of equal names the first.
std::vector<OpPlan> plans_of(const std::vector<NamedOp>& ops, const std::vector<int>& batches);
size_t weight_bytes_of(const std::vector<NamedOp>& ops);
size_t scratch_bytes_of(const std::vector<NamedOp>& ops); // they run one after another

/// How one tower is asked for its tensors, and what its ops store.
struct TowerWeights {
    Checkpoint& checkpoint;
    int dim = 0;

    View operator()(const std::string& name, std::initializer_list<int> shape) const {
        return checkpoint.tensor(name, shape);
    }
    NormWeights norm(const std::string& name) const {
        return {checkpoint.tensor(name + ".weight", {dim}),
                checkpoint.tensor(name + ".bias", {dim})};
    }
};

class ClipBlocks {
public:
    struct Shape {
        std::string prefix; // "vision_model.encoder.layers."
        int layers = 0, tokens = 0, dim = 0, hidden_dim = 0, heads = 0;
        float eps = 1e-5f;
        std::string hidden_act;
        bool causal = false; // a token sees itself and those before it

        /// Of a config whose members are named as transformers names them.
        template <class Config>
        static Shape of(const Config& config, std::string prefix, int tokens, bool causal) {
            return {.prefix = std::move(prefix),
                    .layers = config.num_hidden_layers,
                    .tokens = tokens,
                    .dim = config.hidden_size,
                    .hidden_dim = config.intermediate_size,
                    .heads = config.num_attention_heads,
                    .eps = static_cast<float>(config.layer_norm_eps),
                    .hidden_act = config.hidden_act,
                    .causal = causal};
        }
    };
    struct Buffers {
        View x;      // (batch, tokens, dim)      the residual stream
        View y;      // (batch, tokens, dim)      what a block computes beside it
        View qkv;    // (batch, tokens, 3 * dim)  these two live one after another,
        View hidden; // (batch, tokens, hidden_dim) in the same memory
        Scratch scratch;
    };

    ClipBlocks(Shape shape, Checkpoint& checkpoint, Backend& backend, Numerics numerics,
               const std::vector<int>& batches);

    /// x goes through all blocks; the observer sees it after each.
    void forward(const Buffers& buffers, StreamRef stream, const Observer& observe) const;

    /// The memory of qkv and hidden takes at least `widest_bytes`: before the blocks it is the
    /// tower's.
    Buffers buffers(Arena& arena, int batch, size_t scratch_bytes, size_t widest_bytes = 0) const;
    std::vector<NamedOp> ops() const;
    double macs() const; // of one photo or text

private:
    struct Layer {
        std::unique_ptr<LayerNorm> layer_norm1;
        std::unique_ptr<Linear> qkv_proj; // q_proj, k_proj and v_proj stacked: one product
        std::unique_ptr<Linear> out_proj;
        std::unique_ptr<LayerNorm> layer_norm2;
        std::unique_ptr<Linear> fc1;
        std::unique_ptr<Linear> fc2;
    };
    Shape shape_;
    Numerics numerics_;
    std::vector<Layer> layers_;
    std::unique_ptr<Attention> attention_; // has no weights: one serves all layers
};

} // namespace yeoul

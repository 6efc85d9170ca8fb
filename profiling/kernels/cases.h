// What bench_kernels times: every op of kernels/ops.h at the shapes of the CLIP models.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/ops.h"

namespace yeoul::bench_kernels {

struct Shapes {
    std::string name;
    int image = 0, patch = 0, dim = 0, heads = 0, hidden_dim = 0, out = 0;

    int patches() const { return (image / patch) * (image / patch); }
    int tokens() const { return patches() + 1; }
    int patch_dim() const { return 3 * patch * patch; }
};
/// "b32", "b16", "l14", and "tiny" for a quick run on any device.
Shapes shapes(const std::string& name);

/// Device memory full of seeded values between 0.5 and 1 in size, of either sign: tensor cores that
/// multiply zeros draw less power and so run faster than they would.
class Values {
public:
    Values(Backend& backend, DType dtype, size_t bytes);
    /// The `turn`-th of several places of so many bytes: calls that rotate find nothing in the L2.
    void* at(size_t bytes, int turn) const;
    size_t bytes() const { return bytes_; }

private:
    DeviceMemory memory_;
    size_t bytes_;
};

struct Case {
    std::string op, model, shape, kernel;
    int batch = 0;
    double flop = 0, bytes = 0; // useful operations; each tensor and weight once
    bool product = false;       // its TFLOP/s say something about tensor cores
    std::function<void(int turn, StreamRef stream)> call;
    std::string missing; // why it cannot be called; empty when it can
};

/// Owns the ops and buffers that its cases use.
class Cases {
public:
    Cases(Backend& backend, Numerics numerics, std::vector<int> batches, size_t rotate_bytes);
    ~Cases();
    void add(const Shapes& model);
    /// What the model itself does not use: causal attention, other head_dims, other activations.
    /// After `add`.
    void add_others(const Shapes& model);
    /// What follows an embedding: similarity to labels, and the likeliest of them.
    void add_labels(const Shapes& model, int labels);
    /// How a text begins.
    void add_text(const Shapes& model);
    /// Photos of camera sizes to the slots of a model.
    void add_resize(const Shapes& model);
    /// A product large enough to show what the device can do.
    void add_roof(int edge);
    const std::vector<Case>& list() const { return list_; }

private:
    struct State;
    template <class Make>
    void add_op(const char* op, const Shapes& model, Make make);
    void add_linear(const char* name, const Shapes& model, LinearDesc desc);
    void add_attention(const char* name, const Shapes& model, AttentionDesc desc);

    std::unique_ptr<State> state_;
    std::vector<Case> list_;
};

} // namespace yeoul::bench_kernels

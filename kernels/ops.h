// The contract between models and devices: the ops with their shapes and math, and `Backend`, which
// makes them.
//
// An op is planned once, at model load, for every batch size of `batches`; it owns what a vendor
// plan or a packed weight needs. Calling it enqueues work on a stream: it neither allocates device
// memory, synchronizes nor reads back, so a forward pass can be captured. One op may be called from
// several streams at once, each with its own activations and scratch, and gives bitwise the same.
// It outlives the work and the graphs that it was called into.
//
// Views are checked at the call (rank, extents, dtype, non-null): a mismatch throws
// `invalid_argument` naming the value, before anything is enqueued. The leading extent is the batch
// and must be one of `batches`. Outputs do not overlap inputs unless the op says so.
//
// Weights are host views as the file has them (fp32, fp16 or bf16, any alignment); they are
// converted and packed while the op is made and not used afterwards.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "kernels/device.h"

namespace yeoul {

/// What the activations of a forward pass are stored in. `residual` is the dtype of the stream that
/// blocks add to; sums and statistics are always fp32.
struct Numerics {
    DType compute = DType::f32;
    DType residual = DType::f32;
};

enum class Activation {
    none,
    quick_gelu, // x * sigmoid(1.702 x)
    gelu,       // x * Phi(x), by erf
    gelu_tanh,  // 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
    relu,
};

/// Memory that an op may scribble on during one call; at least `scratch_bytes()` of it, 64-byte
/// aligned. Ops on one stream may share it, since they run in order.
struct Scratch {
    void* data = nullptr;
    size_t bytes = 0;
};

class Op {
public:
    virtual ~Op() = default;
    virtual size_t scratch_bytes() const { return 0; }
    /// Bytes of weights the op keeps on the device.
    virtual size_t weight_bytes() const { return 0; }
    /// The kernel or plan that serves `batch` photos and why: "brg:avx2", "128x96x32 split-K 4".
    virtual std::string kernel(int batch) const = 0;
};

// ---------------------------------------------------------------------------------------------
// y[i] = patches of normalized slot[index[i]]; index -1 gives a row of zeros.
//   slots  (slots, height, width, 3) u8, RGB      index  (batch) i32, each -1 or a slot
//   y      (batch, height/patch * width/patch, 3 * patch * patch) `out`, each row in the order
//          (channel, row, column) of a convolution weight, patches row by row
//   math   y = table[channel][value], rounded to `out`
// Values of `index` are not read by the host; one out of range gives zeros.
struct PatchesDesc {
    int height = 0, width = 0, patch = 0;
    DType out = DType::f32;
    /// table[channel][value] of an 8-bit value: rescaled and normalized.
    std::array<std::array<float, 256>, 3> table{};
    std::vector<int> batches;
};
class Patches : public Op {
public:
    virtual void operator()(const View& slots, const View& index, const View& y,
                            StreamRef stream) = 0;
};

// ---------------------------------------------------------------------------------------------
// y = act(x w^T + bias), or y += x w^T + bias when `accumulate`
//   x  (batch, rows, in) `x`     y  (batch, rows, out) `y`
//   w  (out, in), given as parts stacked on the first axis; bias (out) in as many parts, or none
//   rows == 1 may be given as rank 2.   cost  2 * batch * rows * in * out FLOP
struct LinearDesc {
    int rows = 1, in = 0, out = 0;
    Activation activation = Activation::none; // `none` when accumulating
    bool accumulate = false;
    DType x = DType::f32, y = DType::f32;
    std::vector<int> batches;
};
struct LinearWeights {
    std::vector<View>
        weight;             // parts of (out_i, in), or of any shape with the same elements per row
    std::vector<View> bias; // parts of (out_i), or empty
};
class Linear : public Op {
public:
    virtual void operator()(const View& x, const View& y, Scratch scratch, StreamRef stream) = 0;
};

// ---------------------------------------------------------------------------------------------
// y[b] = layer_norm(concat(class_embedding, x[b]) + position)
//   x  (batch, patches, dim) `x`   y  (batch, patches + 1, dim) `y`
//   class_embedding (dim), position (patches + 1, dim), weight and bias (dim)
// Without norm weights the sum itself is written.
struct TokenEmbeddingDesc {
    int patches = 0, dim = 0;
    float eps = 1e-5f;
    DType x = DType::f32, y = DType::f32;
    std::vector<int> batches;
};
struct TokenEmbeddingWeights {
    View class_embedding, position;
    View norm_weight, norm_bias; // both or neither
};
class TokenEmbedding : public Op {
public:
    virtual void operator()(const View& x, const View& y, Scratch scratch, StreamRef stream) = 0;
};

// ---------------------------------------------------------------------------------------------
// y[r] = (x[r] - mean) / sqrt(var + eps) * weight + bias      statistics in fp32, biased variance
//   x  (batch, rows, dim) `x`   y  the same shape, `y`
struct LayerNormDesc {
    int rows = 1, dim = 0;
    float eps = 1e-5f;
    DType x = DType::f32, y = DType::f32;
    std::vector<int> batches;
};
struct NormWeights {
    View weight, bias; // (dim)
};
class LayerNorm : public Op {
public:
    virtual void operator()(const View& x, const View& y, Scratch scratch, StreamRef stream) = 0;
};

// ---------------------------------------------------------------------------------------------
// y = softmax(scale * q k^T [+ causal mask]) v, per head
//   qkv  (batch, tokens, 3 * heads * head_dim) `dtype`: q, then k, then v, each (heads, head_dim)
//   y    (batch, tokens, heads * head_dim) `dtype`
//   causal: token i sees tokens 0..i.   softmax in fp32
struct AttentionDesc {
    int tokens = 0, heads = 0, head_dim = 0;
    float scale = 0; // usually 1 / sqrt(head_dim)
    bool causal = false;
    DType dtype = DType::f32;
    std::vector<int> batches;
};
class Attention : public Op {
public:
    virtual void operator()(const View& qkv, const View& y, Scratch scratch, StreamRef stream) = 0;
};

// ---------------------------------------------------------------------------------------------
// The end of an image tower: y[b] = layer_norm(x[b, 0]) w^T, and its length.
//   x  (batch, tokens, dim) `x`    w  (out, dim)
//   y  (batch, out) fp32     norm  (batch) fp32 = ||y[b]||_2
// A row that holds NaN or infinity has a norm that is not finite: the one thing the host must
// check.
struct EmbeddingHeadDesc {
    int tokens = 0, dim = 0, out = 0;
    float eps = 1e-5f;
    DType x = DType::f32, compute = DType::f32;
    std::vector<int> batches;
};
struct EmbeddingHeadWeights {
    NormWeights norm;
    View projection; // (out, dim)
};
class EmbeddingHead : public Op {
public:
    virtual void operator()(const View& x, const View& y, const View& norm, Scratch scratch,
                            StreamRef stream) = 0;
};

// ---------------------------------------------------------------------------------------------
// y[b, l] = scale * <x[b], w[l]> / norm[b]: cosines of photos and labels, times `scale`
//   x  (batch, dim) fp32 and norm (batch) fp32, as the embedding head gives them
//   w  (labels, dim) `w`, rows of length 1, on the device     y  (batch, labels) fp32
//   math   products and sums in fp32         cost  2 * batch * labels * dim FLOP
// `w` is given at every call, so that a set of labels can be replaced while serving; it may have
// any number of rows up to `labels`. A photo whose norm is zero or not finite gets a row of NaN.
// The CUDA backend takes dims that are multiples of 8.
struct SimilarityDesc {
    int labels = 0, dim = 0; // the most labels
    float scale = 1;         // exp(logit_scale) of the model, or 1 for cosines
    DType w = DType::f32;
    std::vector<int> batches;
};
class Similarity : public Op {
public:
    virtual void operator()(const View& x, const View& norm, const View& w, const View& y,
                            Scratch scratch, StreamRef stream) = 0;
};

// ---------------------------------------------------------------------------------------------
// The k likeliest classes: softmax over each row of x, then its k largest, largest first
//   x  (batch, classes) fp32, k <= classes <= the planned ones
//   values (batch, k) fp32 probabilities     indices (batch, k) i32
//   math   fp32, less the row's maximum. Ordered by x, not by the rounded probability; of equal x
//          the lower index comes first.
// A row whose softmax is not a number (NaN or +infinity in it, or -infinity throughout) gets NaN
// for all values and -1 for all indices. -infinity elsewhere is a probability of 0.
struct TopKDesc {
    static constexpr int kMaxK = 64, kMaxClasses = 65536;
    int classes = 0, k = 0; // the most classes
    std::vector<int> batches;
};
class TopK : public Op {
public:
    virtual void operator()(const View& x, const View& values, const View& indices, Scratch scratch,
                            StreamRef stream) = 0;
};

// ---------------------------------------------------------------------------------------------
class Backend : public Device {
public:
    /// The storage types for a precision ("fp32", "bf16", "fp16", "auto"). Throws `Error` with code
    /// `device`, naming what the device lacks.
    virtual Numerics numerics(std::string_view precision) const = 0;

    virtual std::unique_ptr<Patches> patches(const PatchesDesc& desc) = 0;
    virtual std::unique_ptr<Linear> linear(const LinearDesc& desc, const LinearWeights& w) = 0;
    virtual std::unique_ptr<TokenEmbedding> token_embedding(const TokenEmbeddingDesc& desc,
                                                            const TokenEmbeddingWeights& w) = 0;
    virtual std::unique_ptr<LayerNorm> layer_norm(const LayerNormDesc& desc,
                                                  const NormWeights& w) = 0;
    virtual std::unique_ptr<Attention> attention(const AttentionDesc& desc) = 0;
    virtual std::unique_ptr<EmbeddingHead> embedding_head(const EmbeddingHeadDesc& desc,
                                                          const EmbeddingHeadWeights& w) = 0;
    virtual std::unique_ptr<Similarity> similarity(const SimilarityDesc& desc) = 0;
    virtual std::unique_ptr<TopK> top_k(const TopKDesc& desc) = 0;
};

/// The CPU backend: oneDNN, `threads` threads for math (0: the cores this process may use).
std::unique_ptr<Backend> make_cpu_backend(int threads);

/// "oneDNN 2.6.3": what the CPU backend stands on.
std::vector<std::string> cpu_backend_libraries();

} // namespace yeoul

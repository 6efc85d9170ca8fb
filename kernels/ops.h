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
// and must be one of `batches`. Outputs do not overlap inputs unless the op says so. CUDA reads and
// writes 16 bytes at a time: activations of fp16 begin at a multiple of 16 bytes, others at a
// multiple of their size. It refuses an overlap or another address in the same way, and a
// description of what it does not store (fp32, bf16) as `device`, naming it.
//
// Weights are host views as the file has them (fp32, fp16 or bf16, any alignment); they are
// converted and packed while the op is made and not used afterwards.
#pragma once

#include <array>
#include <cstdint>
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
// y[task.slot] = a window of the antialiased resize of a photo, to the byte as Pillow 13 has it
// (loader/resize.h), for every task of a table. Slots that no task names keep their bytes.
//   source  (bytes) u8, 4-byte aligned, bytes a multiple of 4: RGB rows at any offset and pitch
//   table   (bytes) u8, 8-byte aligned: `count` tasks, then the axis tables that they point to
//   slots   (slots, height, width, 3) u8, RGB
//   math    two passes, horizontal first unless `vertical_first`. A pass gives
//           clamp((2^21 + sum over taps of weight * pixel) >> 22, 0, 255), weights in 22-bit fixed
//           point, sums modulo 2^32, and so 8 bits between the passes.
//   cost    source bytes * 2 * support, rounded up, multiply-adds for the first pass (bicubic: 4)
// The host does not read the table at the call. engine/resize_table makes it and refuses what does
// not fit; a task whose slot is out of range is passed over.
//
// A task's axis tables are runs of 4-byte words, `horizontal` and `vertical` words from the table's
// begin. Everything counts from the first pixel of the source rectangle.
//   horizontal  first[width], count[width], bias[width], weights[groups][3][width]
//               Output column i is the sum over pixels 4 first[i] ... 4 (first[i] + count[i]) - 1,
//               in groups of four, of w = 65536 a + 256 b + c, signed bytes each:
//               weights[k][0][i] holds a of the four pixels of group first[i] + k, the lowest byte
//               first, weights[k][1][i] b, weights[k][2][i] c. bias[i] = 2^21 + 128 * the sum of
//               all w. Pixels beyond the rectangle's columns have w = 0; first[i] and
//               first[i] + count[i] never fall.
//   vertical    begin[height], size[height], weights[height][taps] i32; begin[i] and
//               begin[i] + size[i] never fall
struct ResizeTask {
    uint64_t source = 0; // offset of the rectangle's first byte
    uint64_t horizontal = 0, vertical = 0;
    int32_t pitch = 0;             // bytes from row to row
    int32_t rows = 0, columns = 0; // the source rectangle, in pixels
    int32_t slot = 0;
    // The part of the slot that shows the photo; the rest becomes zero. Without rows, all of it.
    int32_t top = 0, left = 0, height = 0, width = 0;
    int32_t groups = 0, taps = 0; // the largest count[i] and size[i]
    int32_t vertical_first = 0;
    int32_t reserved = 0;
};
static_assert(sizeof(ResizeTask) == 72);

struct ResizeDesc {
    int height = 0, width = 0; // of a slot
    int tasks = 0;             // the most in one call, up to 65,535
};
class Resize : public Op {
public:
    /// `count` of 0 does nothing.
    virtual void operator()(const View& source, const View& table, int count, const View& slots,
                            StreamRef stream) = 0;
};

// ---------------------------------------------------------------------------------------------
// y[i] = patches of normalized slot[index[i]]; index -1 gives a row of zeros.
//   slots  (slots, height, width, 3) u8, RGB      index  (batch) i32, each -1 or a slot
//   y      (batch, height/patch * width/patch, 3 * patch * patch) `out`, each row in the order
//          (channel, row, column) of a convolution weight, patches row by row
//   math   y = table[channel][value], rounded to `out`
// Values of `index` are not read by the host; one out of range gives zeros.
//   slots at any address.   cost  3 * batch * height * width bytes read, as many values written
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
// Without norm weights the sum itself is written. Sum and statistics are fp32, rounded once to `y`;
// a row with NaN or infinity, or whose variance is not finite, is NaN throughout.
//   cost  batch * (patches * x + (patches + 1) * y) rows of dim values moved
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
// The beginning of a text tower: y[b, t] = token[ids[b, t]] + position[t]
//   ids  (batch, tokens) i32       y  (batch, tokens, dim) `y`
//   token (vocabulary, dim), position (tokens, dim)
// The sum is fp32, rounded once to `y`. Values of `ids` are not read by the host; one outside the
// vocabulary gives a row of NaN, which the length of the vector shows.
//   cost  batch * tokens rows of dim values read, as many written
struct TextEmbeddingDesc {
    int vocabulary = 0, tokens = 0, dim = 0;
    DType y = DType::f32;
    std::vector<int> batches;
};
struct TextEmbeddingWeights {
    View token, position;
};
class TextEmbedding : public Op {
public:
    virtual void operator()(const View& ids, const View& y, StreamRef stream) = 0;
};

// ---------------------------------------------------------------------------------------------
// y[r] = (x[r] - mean) / sqrt(var + eps) * weight + bias      statistics in fp32, biased variance
//   x  (batch, rows, dim) `x`   y  the same shape, `y`, apart from x; rows == 1 also as rank 2
// The mean first, then the squared distances from it: outliers do not cost the others their digits.
// Rounded once to `y`. A row with NaN or infinity is NaN throughout.
//   cost  batch * rows * dim values read, as many written
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
// The end of a tower: y[b] = layer_norm(x[b, index[b]]) w^T, and its length.
//   x  (batch, tokens, dim) `x`    index  (batch) i32, or none: token 0    w  (out, dim)
//   y  (batch, out) fp32     norm  (batch) fp32 = ||y[b]||_2
// Values of `index` are not read by the host; one that is no token gives a row of NaN.
// A row that holds NaN or infinity, or that overflows fp32 on the way, has a norm that is not
// finite: the one thing the host must check.   cost  2 * batch * dim * out FLOP
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
    virtual void operator()(const View& x, const View& index, const View& y, const View& norm,
                            Scratch scratch, StreamRef stream) = 0;
    void operator()(const View& x, const View& y, const View& norm, Scratch scratch,
                    StreamRef stream) {
        (*this)(x, View(), y, norm, scratch, stream);
    }
};

// ---------------------------------------------------------------------------------------------
// y[b, l] = scale * <x[b], w[l]> / norm[b]: cosines of photos and labels, times `scale`
//   x  (batch, dim) fp32 and norm (batch) fp32, as the embedding head gives them
//   w  (labels, dim) `w`, rows of length 1, on the device     y  (batch, labels) fp32
//   CUDA: x at a multiple of 16 bytes
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

    /// Times the candidates for every product that the linear ops made so far compute, in about
    /// `seconds`, and gives the readable table of them all and of what the table that was read at
    /// start says of other products; ops made afterwards do not change by it. Empty where there is
    /// nothing to choose from.
    virtual std::string tune_gemms(double seconds) = 0;

    /// Ops made from here on take the memory of their weights, and pinned memory while they are
    /// made, from `memory`, a view of this device that outlives them. Before, it comes from the
    /// backend itself. Where `memory` is dry (`DeviceProperties`), an op is made with the very same
    /// requests for memory and without a look at its weights; it knows its sizes and its kernels
    /// and cannot be called.
    virtual void place_weights(Device& memory) = 0;

    /// nullptr where the device is the host, which resizes with loader/resize.h.
    virtual std::unique_ptr<Resize> resize(const ResizeDesc& desc) = 0;
    virtual std::unique_ptr<Patches> patches(const PatchesDesc& desc) = 0;
    virtual std::unique_ptr<Linear> linear(const LinearDesc& desc, const LinearWeights& w) = 0;
    virtual std::unique_ptr<TokenEmbedding> token_embedding(const TokenEmbeddingDesc& desc,
                                                            const TokenEmbeddingWeights& w) = 0;
    virtual std::unique_ptr<TextEmbedding> text_embedding(const TextEmbeddingDesc& desc,
                                                          const TextEmbeddingWeights& w) = 0;
    virtual std::unique_ptr<LayerNorm> layer_norm(const LayerNormDesc& desc,
                                                  const NormWeights& w) = 0;
    virtual std::unique_ptr<Attention> attention(const AttentionDesc& desc) = 0;
    virtual std::unique_ptr<EmbeddingHead> embedding_head(const EmbeddingHeadDesc& desc,
                                                          const EmbeddingHeadWeights& w) = 0;
    virtual std::unique_ptr<Similarity> similarity(const SimilarityDesc& desc) = 0;
    virtual std::unique_ptr<TopK> top_k(const TopKDesc& desc) = 0;
};

/// The cores this process may use, by its affinity: a container or `taskset` may leave it fewer
/// than the machine has. The default of everything that takes a number of threads.
int usable_cores();

/// The CPU backend: oneDNN, `threads` threads for math (0: the cores this process may use).
std::unique_ptr<Backend> make_cpu_backend(int threads);

/// "oneDNN 2.6.3": what the CPU backend stands on.
std::vector<std::string> cpu_backend_libraries();

} // namespace yeoul

// Labels as one resident matrix, and tagging: photos against it.
//
// A label's vector is the mean of the normalized vectors of its texts, one for each template, and
// normalized itself (Radford et al., 2021, section 3.1.4).
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <yeoul/engine.h>

#include "engine/memory/arena.h"
#include "engine/text_encoder.h"
#include "kernels/ops.h"

namespace yeoul {

/// "a photo of a {}" with "red circle" is "a photo of a red circle".
std::string in_template(const std::string& form, const std::string& label);

/// Throws `Error`, code `invalid_argument`, naming the label or the template: none, an empty one,
/// not UTF-8, two that are the same to the model, a template without {} or with two, a text beyond
/// the model's context.
void check_labels(const Labels& labels, const TextEncoder& encoder);

/// Never changes once made; shared with the batches that are being tagged by it.
class LabelSet {
public:
    /// Checks and embeds the labels; `memory` is a view of the backend's device. Throws what
    /// `check_labels` throws, and `OutOfMemory`.
    LabelSet(const Labels& labels, TextEncoder& encoder, Backend& backend, Device& memory,
             Numerics numerics, const std::vector<int>& batches);

    const std::vector<std::string>& names() const { return names_; }
    int kept() const { return kept_; } // of a photo: the likeliest, at most 64

    struct Output {
        View probabilities; // (batch, kept) fp32, largest first
        View indices;       // (batch, kept) i32: labels; -1 throughout where a vector has no length
    };
    size_t activation_bytes(int batch) const;
    /// Enqueues, for embeds (batch, dim) and norms (batch) as an image tower gives them, the
    /// softmax of exp(logit_scale) * cosine over all labels. Allocates nothing: it can be captured,
    /// by who keeps this set as long as the graph.
    void tag(const View& embeds, const View& norms, const Output& out, Arena arena,
             StreamRef stream) const;

private:
    std::vector<std::string> names_;
    int kept_;
    std::unique_ptr<Similarity> similarity_;
    std::unique_ptr<TopK> top_k_;
    DeviceMemory matrix_;
    View view_; // (labels, dim)
};

/// The set in force, replaced while photos are tagged. Safe to use from several threads.
class Tagger {
public:
    /// `batches`: the sizes, ascending, that a call is cut into or padded to.
    Tagger(Backend& backend, Device& memory, Numerics numerics, std::vector<int> batches, int dim);
    ~Tagger();

    /// Embeds them and makes them ready for `replace`, their matrix in `memory`, which outlives
    /// them.
    std::shared_ptr<const LabelSet> make(const Labels& labels, TextEncoder& encoder,
                                         Device& memory) const;
    /// Vectors tagged from here on use the new labels; those under way finish with the old ones.
    void replace(std::shared_ptr<const LabelSet> labels) noexcept;
    /// nullptr before the first `replace`.
    std::shared_ptr<const LabelSet> labels() const;

    /// The `count` likeliest labels of each vector of host memory, likeliest first. Waits for the
    /// device. A vector without length or with NaN gets none. Throws `Error`, code
    /// `invalid_argument`: no labels, a vector of another length, a count below 1.
    std::vector<std::vector<Tag>> tag(std::span<const std::vector<float>> vectors, int count);

private:
    struct Buffers;
    std::vector<std::vector<Tag>> tag_batch(const LabelSet& labels,
                                            std::span<const std::vector<float>> vectors, int count);

    Backend& backend_;
    Device& memory_;
    Numerics numerics_;
    std::vector<int> batches_;
    int dim_;

    mutable std::mutex labels_mutex_;
    std::shared_ptr<const LabelSet> labels_;
    std::mutex buffers_mutex_; // one call computes at a time
    std::unique_ptr<Buffers> buffers_;
};

} // namespace yeoul

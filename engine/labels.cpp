#include "engine/labels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "loader/json.h"
#include "loader/narrow.h"

namespace yeoul {
namespace {

constexpr std::string_view kHole = "{}";

std::string label_text(const Labels& labels, size_t i) {
    return "label " + std::to_string(i + 1) + ", " + loader::json_quote(labels.names[i]);
}

void check_templates(const Labels& labels) {
    YEOUL_REQUIRE(!labels.templates.empty(), "there are no templates; give one with {}");
    for (const std::string& form : labels.templates) {
        const size_t hole = form.find(kHole);
        YEOUL_REQUIRE(hole != form.npos && form.find(kHole, hole + 1) == form.npos,
                      "the template " << loader::json_quote(form) << " has "
                                      << (hole == form.npos ? "no {}" : "more than one {}")
                                      << ", it needs one where the label goes");
    }
}

double length(const std::vector<double>& x) {
    double squares = 0;
    for (double value : x)
        squares += value * value;
    return std::sqrt(squares);
}

void normalize(std::vector<double>& x, const std::string& label) {
    const double size = length(x);
    if (!(size > 0))
        throw Error(ErrorCode::non_finite, "the vector of " + label + " has no length");
    for (double& value : x)
        value /= size;
}

// (labels, dim), rows of length 1. Many labels at a time fill the tower's batches.
std::vector<float> embed_labels(const Labels& labels, TextEncoder& encoder) {
    constexpr size_t kTextsAtATime = 256;
    const size_t count = labels.names.size(), forms = labels.templates.size();
    const size_t step = std::max<size_t>(1, kTextsAtATime / forms);
    std::vector<float> matrix;
    for (size_t first = 0; first < count; first += step) {
        const size_t end = std::min(first + step, count);
        std::vector<std::string> texts;
        for (size_t i = first; i < end; ++i)
            for (const std::string& form : labels.templates)
                texts.push_back(in_template(form, labels.names[i]));
        const std::vector<std::vector<float>> vectors = encoder.embed(texts);
        for (size_t i = first; i < end; ++i) {
            std::vector<double> mean(encoder.dim());
            for (size_t form = 0; form < forms; ++form) {
                const std::vector<float>& vector = vectors[(i - first) * forms + form];
                std::vector<double> x(vector.begin(), vector.end());
                normalize(x, label_text(labels, i));
                for (size_t d = 0; d < x.size(); ++d)
                    mean[d] += x[d];
            }
            normalize(mean, label_text(labels, i));
            matrix.insert(matrix.end(), mean.begin(), mean.end());
        }
    }
    return matrix;
}

// `x` in `dtype` at `y`.
void narrow(const std::vector<float>& x, DType dtype, void* y) {
    if (dtype == DType::f32) {
        std::memcpy(y, x.data(), x.size() * sizeof(float));
        return;
    }
    std::transform(x.begin(), x.end(), static_cast<uint16_t*>(y),
                   dtype == DType::f16 ? loader::to_fp16 : loader::to_bf16);
}

} // namespace

std::string in_template(const std::string& form, const std::string& label) {
    std::string text = form;
    return text.replace(text.find(kHole), kHole.size(), label);
}

void check_labels(const Labels& labels, const TextEncoder& encoder) {
    YEOUL_REQUIRE(!labels.names.empty(), "there are no labels; give at least one");
    YEOUL_REQUIRE(labels.names.size() <= static_cast<size_t>(TopKDesc::kMaxClasses),
                  labels.names.size()
                      << " labels, at most " << TopKDesc::kMaxClasses << " are possible");
    check_templates(labels);
    std::map<std::vector<int32_t>, size_t> seen; // by what the model reads
    for (size_t i = 0; i < labels.names.size(); ++i) {
        std::vector<int32_t> ids;
        try {
            ids = encoder.tokens(labels.names[i]);
            YEOUL_REQUIRE(!ids.empty(), "is empty");
            for (const std::string& form : labels.templates) {
                const size_t ids_of_text = encoder.length(in_template(form, labels.names[i]));
                YEOUL_REQUIRE(ids_of_text <= static_cast<size_t>(encoder.context()),
                              "takes " << ids_of_text << " tokens in " << loader::json_quote(form)
                                       << ", the model reads " << encoder.context());
            }
        } catch (const Error& error) {
            throw Error(error.code(), label_text(labels, i) + ": " + error.what());
        }
        const auto [first, is_new] = seen.emplace(std::move(ids), i);
        YEOUL_REQUIRE(is_new, label_text(labels, i) << ", is the same to the model as "
                                                    << label_text(labels, first->second));
    }
}

LabelSet::LabelSet(const Labels& labels, TextEncoder& encoder, Backend& backend, Device& memory,
                   Numerics numerics, const std::vector<int>& batches)
    : names_((check_labels(labels, encoder), labels.names)),
      kept_(std::min(static_cast<int>(names_.size()), TopKDesc::kMaxK)),
      matrix_(nullptr, {&memory}) {
    const int count = static_cast<int>(names_.size());
    similarity_ = backend.similarity({.labels = count,
                                      .dim = encoder.dim(),
                                      .scale = encoder.scale(),
                                      .w = numerics.compute,
                                      .batches = batches});
    top_k_ = backend.top_k({.classes = count, .k = kept_, .batches = batches});
    view_ = View(nullptr, numerics.compute, {count, encoder.dim()});

    // Memory first: embedding many labels takes minutes.
    const PinnedMemory staging = make_pinned_memory(memory, view_.bytes());
    matrix_ = make_device_memory(memory, view_.bytes());
    view_.data = matrix_.get();
    narrow(embed_labels(labels, encoder), view_.dtype, staging.get());
    const Stream stream(memory);
    backend.copy(view_.data, staging.get(), view_.bytes(), CopyKind::host_to_device, stream);
    backend.synchronize(stream);
}

size_t LabelSet::activation_bytes(int batch) const {
    Arena counting;
    counting.view(DType::f32, {batch, view_.shape[0]});
    counting.scratch(std::max(similarity_->scratch_bytes(), top_k_->scratch_bytes()));
    return counting.used_bytes();
}

void LabelSet::tag(const View& embeds, const View& norms, const Output& out, Arena arena,
                   StreamRef stream) const {
    const View logits = arena.view(DType::f32, {embeds.shape[0], view_.shape[0]});
    const Scratch scratch =
        arena.scratch(std::max(similarity_->scratch_bytes(), top_k_->scratch_bytes()));
    (*similarity_)(embeds, norms, view_, logits, scratch, stream);
    (*top_k_)(logits, out.probabilities, out.indices, scratch, stream);
}

/// The memory of one call, for the largest batch.
struct Tagger::Buffers {
    Buffers(Device& memory, int batch, int dim)
        : embeds(make_device_memory(memory, sizeof(float) * batch * dim)),
          norms(make_device_memory(memory, sizeof(float) * batch)),
          probabilities(make_device_memory(memory, sizeof(float) * batch * TopKDesc::kMaxK)),
          indices(make_device_memory(memory, sizeof(int32_t) * batch * TopKDesc::kMaxK)),
          host_embeds(make_pinned_memory(memory, sizeof(float) * batch * dim)),
          host_norms(make_pinned_memory(memory, sizeof(float) * batch)),
          host_probabilities(make_pinned_memory(memory, sizeof(float) * batch * TopKDesc::kMaxK)),
          host_indices(make_pinned_memory(memory, sizeof(int32_t) * batch * TopKDesc::kMaxK)),
          stream(memory) {}
    DeviceMemory embeds, norms, probabilities, indices;
    PinnedMemory host_embeds, host_norms, host_probabilities, host_indices;
    Stream stream; // last: it is drained before the memory goes
};

Tagger::Tagger(Backend& backend, Device& memory, Numerics numerics, std::vector<int> batches,
               int dim)
    : backend_(backend), memory_(memory), numerics_(numerics), batches_(std::move(batches)),
      dim_(dim), buffers_(std::make_unique<Buffers>(memory, batches_.back(), dim)) {}

Tagger::~Tagger() = default;

std::shared_ptr<const LabelSet> Tagger::make(const Labels& labels, TextEncoder& encoder,
                                             Device& memory) const {
    return std::make_shared<const LabelSet>(labels, encoder, backend_, memory, numerics_, batches_);
}

void Tagger::replace(std::shared_ptr<const LabelSet> labels) noexcept {
    const std::lock_guard lock(labels_mutex_);
    labels_.swap(labels); // the old ones end without the lock
}

std::shared_ptr<const LabelSet> Tagger::labels() const {
    const std::lock_guard lock(labels_mutex_);
    return labels_;
}

std::vector<std::vector<Tag>> Tagger::tag(std::span<const std::vector<float>> vectors, int count) {
    const std::shared_ptr<const LabelSet> labels = this->labels();
    YEOUL_REQUIRE(labels != nullptr, "there are no labels to tag with; set them first");
    YEOUL_REQUIRE(count >= 1, "tags is " << count << ", must be at least 1");
    for (const std::vector<float>& vector : vectors)
        YEOUL_REQUIRE(vector.size() == static_cast<size_t>(dim_),
                      "a vector has " << vector.size() << " values, the model's have " << dim_);
    const std::lock_guard lock(buffers_mutex_);
    std::vector<std::vector<Tag>> tags;
    while (tags.size() < vectors.size()) {
        const auto left = vectors.subspan(tags.size());
        const size_t most = std::min<size_t>(left.size(), batches_.back());
        for (auto& found : tag_batch(*labels, left.first(most), count))
            tags.push_back(std::move(found));
    }
    return tags;
}

std::vector<std::vector<Tag>>
Tagger::tag_batch(const LabelSet& labels, std::span<const std::vector<float>> vectors, int count) {
    Buffers& b = *buffers_;
    const int photos = static_cast<int>(vectors.size()), kept = labels.kept();
    const int batch = *std::lower_bound(batches_.begin(), batches_.end(), photos);
    auto* const embeds = static_cast<float*>(b.host_embeds.get());
    auto* const norms = static_cast<float*>(b.host_norms.get());
    for (int i = 0; i < photos; ++i) {
        std::copy(vectors[i].begin(), vectors[i].end(), embeds + static_cast<size_t>(i) * dim_);
        norms[i] = static_cast<float>(length({vectors[i].begin(), vectors[i].end()}));
    }
    std::fill(norms + photos, norms + batch, 0.0F); // rows of padding get no label
    const size_t arena_bytes = labels.activation_bytes(batch);
    const DeviceMemory arena = make_device_memory(memory_, arena_bytes);
    const View device_embeds(b.embeds.get(), DType::f32, {batch, dim_});
    const View device_norms(b.norms.get(), DType::f32, {batch});
    const LabelSet::Output out{View(b.probabilities.get(), DType::f32, {batch, kept}),
                               View(b.indices.get(), DType::i32, {batch, kept})};
    const auto enqueue = [&] {
        backend_.copy(device_embeds.data, embeds, device_embeds.bytes(), CopyKind::host_to_device,
                      b.stream);
        backend_.copy(device_norms.data, norms, device_norms.bytes(), CopyKind::host_to_device,
                      b.stream);
        labels.tag(device_embeds, device_norms, out, Arena(arena.get(), arena_bytes), b.stream);
        backend_.copy(b.host_probabilities.get(), out.probabilities.data, out.probabilities.bytes(),
                      CopyKind::device_to_host, b.stream);
        backend_.copy(b.host_indices.get(), out.indices.data, out.indices.bytes(),
                      CopyKind::device_to_host, b.stream);
    };
    try {
        enqueue();
    } catch (...) {
        // What was enqueued still uses the arena, which is given back now.
        try {
            backend_.synchronize(b.stream);
        } catch (...) { // the first failure is the one to tell
        }
        throw;
    }
    backend_.synchronize(b.stream);

    const auto* probabilities = static_cast<const float*>(b.host_probabilities.get());
    const auto* indices = static_cast<const int32_t*>(b.host_indices.get());
    std::vector<std::vector<Tag>> tags(vectors.size());
    for (int i = 0; i < photos; ++i)
        for (int rank = 0; rank < std::min(count, kept); ++rank) {
            const size_t at = static_cast<size_t>(i) * kept + rank;
            if (const int label = indices[at]; label >= 0)
                tags[i].push_back({label, labels.names()[label], probabilities[at]});
        }
    return tags;
}

} // namespace yeoul

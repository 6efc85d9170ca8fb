#include "engine/lane.h"

#include <algorithm>

namespace yeoul {
namespace {

size_t aligned(size_t bytes) {
    return (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
}

size_t tag_bytes(int batch, int kept) {
    return static_cast<size_t>(batch) * kept * (sizeof(float) + sizeof(int32_t));
}

} // namespace

LaneMemory::LaneMemory(Device& memory, size_t arena, int capacity, int dim, bool host, bool tags)
    : embeds_offset(aligned(sizeof(float) * capacity)),
      output_bytes(embeds_offset + aligned(sizeof(float) * capacity * dim) +
                   tag_bytes(capacity, tags ? TopKDesc::kMaxK : 0)),
      arena_bytes(arena), arena(make_device_memory(memory, arena)),
      index(make_device_memory(memory, sizeof(int32_t) * capacity)),
      outputs(make_device_memory(memory, output_bytes)) {
    for (int i = 0; i < kPieces; ++i)
        pieces.push_back({make_pinned_memory(memory, sizeof(int32_t) * capacity),
                          make_device_memory(memory, output_bytes),
                          make_pinned_memory(memory, host ? 0 : output_bytes)});
}

Lane::Lane(Backend& backend, Device& memory, VisionModel& model, const View& slots,
           const std::vector<int>& batches, bool tags)
    : backend_(backend), model_(model), slots_(slots), batches_(batches),
      memory_(memory, model.activation_bytes(batches.back()), batches.back(), model.dim(),
              backend.properties().host_memory, tags),
      back_(memory), compute_(memory) {
    for (int i = 0; i < LaneMemory::kPieces; ++i)
        in_flight_.push_back(std::make_unique<InFlight>(backend));
    for (int batch : batches_)
        graphs_.push_back(capture(batch, compute_, nullptr));
    warm_up();
}

Lane::~Lane() = default;

Lane::Outputs Lane::outputs(void* base, int batch, int kept) const {
    const auto at = [&](size_t offset) { return static_cast<std::byte*>(base) + offset; };
    const size_t tags = memory_.embeds_offset + aligned(sizeof(float) * batch * model_.dim());
    return {{View(at(memory_.embeds_offset), DType::f32, {batch, model_.dim()}),
             View(base, DType::f32, {batch})},
            {View(at(tags), DType::f32, {batch, kept}),
             View(at(tags + tag_bytes(batch, kept) / 2), DType::i32, {batch, kept})}};
}

size_t Lane::result_bytes(int batch, int kept) const {
    const size_t vectors = sizeof(float) * batch * model_.dim();
    return memory_.embeds_offset + (kept > 0 ? aligned(vectors) + tag_bytes(batch, kept) : vectors);
}

std::unique_ptr<Graph> Lane::capture(int batch, StreamRef stream, const TagGraphs* tagging) const {
    const VisionModel::Input in{slots_, View(memory_.index.get(), DType::i32, {batch})};
    const Outputs out =
        outputs(memory_.outputs.get(), batch, tagging ? tagging->labels->kept() : 0);
    backend_.begin_capture(stream);
    try {
        model_.forward(in, out.vectors, Arena(memory_.arena.get(), memory_.arena_bytes), stream);
        if (tagging) {
            const LabelSet& labels = *tagging->labels;
            labels.tag(out.vectors.embeds, out.vectors.norms, out.tags,
                       Arena(tagging->arena.get(), labels.activation_bytes(batch)), stream);
        }
        return backend_.end_capture(stream);
    } catch (...) {
        backend_.abandon_capture(stream);
        throw;
    }
}

std::shared_ptr<const TagGraphs> Lane::capture_tags(std::shared_ptr<const LabelSet> labels,
                                                    Device& memory) const {
    const size_t arena_bytes = labels->activation_bytes(batches_.back());
    auto tagging = std::make_shared<TagGraphs>(
        TagGraphs{std::move(labels), make_device_memory(memory, arena_bytes), {}});
    const Stream stream(memory); // the lane's own has batches
    for (int batch : batches_)
        tagging->graphs.push_back(capture(batch, stream, tagging.get()));
    return tagging;
}

void Lane::use(std::shared_ptr<const TagGraphs> tagging) noexcept {
    const std::lock_guard lock(tagging_mutex_);
    tagging_.swap(tagging); // the old ones end without the lock
}

// The first photo must not pay for what happens once: pages of memory, threads of the math library.
void Lane::warm_up() {
    backend_.zero(memory_.arena.get(), memory_.arena_bytes, compute_);
    launch(0, {});
    wait();
}

double Lane::measure_us(int bucket) {
    launch(bucket, {});
    return 1e3 * wait().compute_ms;
}

void Lane::keep(const std::vector<int>& batches) {
    std::vector<std::unique_ptr<Graph>> kept;
    for (int batch : batches) {
        const auto place = std::find(batches_.begin(), batches_.end(), batch);
        YEOUL_REQUIRE(place != batches_.end(), "there is no graph of " << batch << " photos");
        kept.push_back(std::move(graphs_[place - batches_.begin()]));
    }
    batches_ = batches;
    graphs_ = std::move(kept);
}

void Lane::launch(int bucket, std::span<const int> slots, bool tags) {
    YEOUL_REQUIRE(bucket >= 0 && bucket < static_cast<int>(batches_.size()) &&
                      slots.size() <= static_cast<size_t>(batches_[bucket]),
                  slots.size() << " photos in bucket " << bucket << " of " << batches_.size());
    std::shared_ptr<const TagGraphs> tagging;
    if (tags) {
        const std::lock_guard lock(tagging_mutex_);
        tagging = tagging_;
        YEOUL_REQUIRE(tagging != nullptr, "there are no labels to tag with");
    }
    try {
        in_flight_[launched_]->tagging = std::move(tagging);
        enqueue(bucket, slots, launched_);
    } catch (...) {
        // What was enqueued still reads slots and index, which are the caller's after this.
        drain();
        throw;
    }
    launched_ = (launched_ + 1) % LaneMemory::kPieces;
}

void Lane::enqueue(int bucket, std::span<const int> slots, int place) {
    LaneMemory::Piece& piece = memory_.pieces[place];
    InFlight& flight = *in_flight_[place];
    const int batch = flight.batch = batches_[bucket];
    const TagGraphs* const tagging = flight.tagging.get();
    auto* index = static_cast<int32_t*>(piece.index.get());
    std::copy(slots.begin(), slots.end(), index);
    std::fill(index + slots.size(), index + batch, -1);
    backend_.copy(memory_.index.get(), index, sizeof(int32_t) * batch, CopyKind::host_to_device,
                  compute_);
    backend_.record(flight.start, compute_);
    backend_.launch(*(tagging ? tagging->graphs : graphs_)[bucket], compute_);
    backend_.record(flight.stop, compute_);

    // Apart from what the next pass overwrites; from there on another stream has all the time that
    // the next pass takes.
    const size_t bytes = result_bytes(batch, tagging ? tagging->labels->kept() : 0);
    backend_.copy(piece.outputs.get(), memory_.outputs.get(), bytes, CopyKind::device_to_device,
                  compute_);
    backend_.record(flight.done, compute_);
    if (!piece.host_outputs)
        return;
    backend_.wait(flight.done, back_);
    backend_.copy(piece.host_outputs.get(), piece.outputs.get(), bytes, CopyKind::device_to_host,
                  back_);
    backend_.record(flight.done, back_);
}

void Lane::drain() noexcept {
    for (const StreamRef stream : {StreamRef(compute_), StreamRef(back_)}) {
        try {
            backend_.synchronize(stream);
        } catch (...) { // the first failure is the one to tell
        }
    }
}

BatchOutput Lane::wait() {
    const LaneMemory::Piece& piece = memory_.pieces[waited_];
    InFlight& flight = *in_flight_[waited_];
    waited_ = (waited_ + 1) % LaneMemory::kPieces;
    const std::shared_ptr<const TagGraphs> tagging = std::move(flight.tagging);
    try {
        backend_.synchronize(EventRef(flight.done));
    } catch (...) { // its slots are given away after this
        drain();
        throw;
    }
    void* const base = piece.host_outputs ? piece.host_outputs.get() : piece.outputs.get();
    const int kept = tagging ? tagging->labels->kept() : 0;
    const Outputs out = outputs(base, flight.batch, kept);
    BatchOutput output{.embeds = out.vectors.embeds.as<const float>(),
                       .norms = out.vectors.norms.as<const float>(),
                       .compute_ms = backend_.elapsed_ms(flight.start, flight.stop)};
    if (tagging) {
        output.labels = {tagging, &tagging->labels->names()};
        output.probabilities = out.tags.probabilities.as<const float>();
        output.indices = out.tags.indices.as<const int32_t>();
        output.kept = kept;
    }
    return output;
}

} // namespace yeoul

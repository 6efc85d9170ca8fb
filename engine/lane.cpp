#include "engine/lane.h"

#include <algorithm>

namespace yeoul {
namespace {

size_t aligned(size_t bytes) {
    return (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
}

} // namespace

LaneMemory::LaneMemory(Device& memory, size_t arena, int capacity, int dim, bool host)
    : embeds_offset(aligned(sizeof(float) * capacity)),
      output_bytes(embeds_offset + sizeof(float) * capacity * dim), arena_bytes(arena),
      arena(make_device_memory(memory, arena)),
      index(make_device_memory(memory, sizeof(int32_t) * capacity)),
      outputs(make_device_memory(memory, output_bytes)) {
    for (int i = 0; i < kPieces; ++i)
        pieces.push_back({make_pinned_memory(memory, sizeof(int32_t) * capacity),
                          make_device_memory(memory, output_bytes),
                          make_pinned_memory(memory, host ? 0 : output_bytes)});
}

Lane::Lane(Backend& backend, Device& memory, VisionModel& model, const View& slots,
           const std::vector<int>& batches)
    : backend_(backend), model_(model), slots_(slots), batches_(batches),
      memory_(memory, model.activation_bytes(batches.back()), batches.back(), model.dim(),
              backend.properties().host_memory),
      back_(memory), compute_(memory) {
    for (int i = 0; i < LaneMemory::kPieces; ++i)
        times_.push_back(std::make_unique<Times>(backend));
    for (int batch : batches_)
        capture(batch);
    warm_up();
}

Lane::~Lane() = default;

void Lane::capture(int batch) {
    const VisionModel::Input in{slots_, View(memory_.index.get(), DType::i32, {batch})};
    const VisionModel::Output out{View(output(memory_.outputs.get(), memory_.embeds_offset),
                                       DType::f32, {batch, model_.dim()}),
                                  View(memory_.outputs.get(), DType::f32, {batch})};
    backend_.begin_capture(compute_);
    try {
        model_.forward(in, out, Arena(memory_.arena.get(), memory_.arena_bytes), compute_);
        graphs_.push_back(backend_.end_capture(compute_));
    } catch (...) {
        backend_.abandon_capture(compute_);
        throw;
    }
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

void Lane::launch(int bucket, std::span<const int> slots) {
    YEOUL_REQUIRE(bucket >= 0 && bucket < static_cast<int>(batches_.size()) &&
                      slots.size() <= static_cast<size_t>(batches_[bucket]),
                  slots.size() << " photos in bucket " << bucket << " of " << batches_.size());
    try {
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
    Times& times = *times_[place];
    const int batch = batches_[bucket];
    auto* index = static_cast<int32_t*>(piece.index.get());
    std::copy(slots.begin(), slots.end(), index);
    std::fill(index + slots.size(), index + batch, -1);
    backend_.copy(memory_.index.get(), index, sizeof(int32_t) * batch, CopyKind::host_to_device,
                  compute_);
    backend_.record(times.start, compute_);
    backend_.launch(*graphs_[bucket], compute_);
    backend_.record(times.stop, compute_);

    // Apart from what the next pass overwrites; from there on another stream has all the time that
    // the next pass takes.
    const size_t bytes = memory_.embeds_offset + sizeof(float) * batch * model_.dim();
    backend_.copy(piece.outputs.get(), memory_.outputs.get(), bytes, CopyKind::device_to_device,
                  compute_);
    backend_.record(times.done, compute_);
    if (!piece.host_outputs)
        return;
    backend_.wait(times.done, back_);
    backend_.copy(piece.host_outputs.get(), piece.outputs.get(), bytes, CopyKind::device_to_host,
                  back_);
    backend_.record(times.done, back_);
}

void Lane::drain() noexcept {
    for (const StreamRef stream : {StreamRef(compute_), StreamRef(back_)}) {
        try {
            backend_.synchronize(stream);
        } catch (const Error&) { // the first failure is the one to tell
        }
    }
}

BatchOutput Lane::wait() {
    const LaneMemory::Piece& piece = memory_.pieces[waited_];
    Times& times = *times_[waited_];
    waited_ = (waited_ + 1) % LaneMemory::kPieces;
    backend_.synchronize(EventRef(times.done));
    void* outputs = piece.host_outputs ? piece.host_outputs.get() : piece.outputs.get();
    return {output(outputs, memory_.embeds_offset), output(outputs, 0),
            backend_.elapsed_ms(times.start, times.stop)};
}

} // namespace yeoul

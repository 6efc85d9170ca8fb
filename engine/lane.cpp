#include "engine/lane.h"

#include <algorithm>

namespace yeoul {

Lane::Lane(Backend& backend, Device& memory, VisionModel& model, const std::vector<int>& batches)
    : backend_(backend), model_(model), batches_(batches),
      shape_(LaneShape::of(model, batches.back())), memory_(memory, shape_), stream_(memory) {
    rows_.reserve(capacity());
    for (int batch : batches_) {
        capture(batch);
        // A run launches each graph at most once: what is left is smaller than the graph taken.
        starts_.push_back(std::make_unique<Event>(backend));
        stops_.push_back(std::make_unique<Event>(backend));
    }
    warm_up();
}

Lane::~Lane() = default;

uint8_t* Lane::staging(int i) const {
    return static_cast<uint8_t*>(memory_.host_slots.get()) + shape_.slot_bytes * i;
}

VisionModel::Input Lane::input(int batch) const {
    return {View(memory_.slots.get(), DType::u8,
                 {capacity(), model_.image_height(), model_.image_width(), 3}),
            View(memory_.index.get(), DType::i32, {batch})};
}

VisionModel::Output Lane::output(int batch) const {
    return {View(memory_.embeds.get(), DType::f32, {batch, model_.dim()}),
            View(memory_.norms.get(), DType::f32, {batch})};
}

void Lane::capture(int batch) {
    backend_.begin_capture(stream_);
    try {
        model_.forward(input(batch), output(batch), Arena(memory_.arena.get(), shape_.arena_bytes),
                       stream_);
        graphs_.push_back(backend_.end_capture(stream_));
    } catch (...) {
        backend_.abandon_capture(stream_);
        throw;
    }
}

// The first photo must not pay for what happens once: pages of memory, threads of the math library.
void Lane::warm_up() {
    backend_.zero(memory_.arena.get(), shape_.arena_bytes, stream_);
    *static_cast<int32_t*>(memory_.host_index.get()) = -1; // a row of zeros
    backend_.copy(memory_.index.get(), memory_.host_index.get(), sizeof(int32_t),
                  CopyKind::host_to_device, stream_);
    backend_.launch(*graphs_.front(), stream_);
    backend_.synchronize(stream_);
}

const std::vector<Lane::Row>& Lane::run(const std::vector<int>& photos) {
    YEOUL_REQUIRE(photos.size() <= static_cast<size_t>(capacity()),
                  photos.size() << " photos, this lane takes " << capacity());
    rows_.clear();
    if (photos.empty())
        return rows_;
    try {
        enqueue(photos);
    } catch (...) {
        // What was enqueued still reads the staging memory, which is the caller's after this.
        try {
            backend_.synchronize(stream_);
        } catch (const Error&) { // the first failure is the one to tell
        }
        throw;
    }
    backend_.synchronize(stream_);

    const auto* norms = static_cast<const float*>(memory_.host_norms.get());
    for (size_t i = 0, launch = 0; i < rows_.size(); ++launch) {
        const float ms = backend_.elapsed_ms(*starts_[launch], *stops_[launch]);
        for (const size_t end = i + rows_[i].batch; i < end; ++i) {
            rows_[i].norm = norms[i];
            rows_[i].compute_ms = ms;
        }
    }
    return rows_;
}

void Lane::enqueue(const std::vector<int>& photos) {
    const int last = *std::max_element(photos.begin(), photos.end());
    backend_.copy(memory_.slots.get(), memory_.host_slots.get(), shape_.slot_bytes * (last + 1),
                  CopyKind::host_to_device, stream_);

    auto* index = static_cast<int32_t*>(memory_.host_index.get());
    auto* embeds = static_cast<float*>(memory_.host_embeds.get());
    auto* norms = static_cast<float*>(memory_.host_norms.get());
    std::copy(photos.begin(), photos.end(), index);

    const int count = static_cast<int>(photos.size()), dim = model_.dim();
    for (int done = 0, launch = 0; done < count; ++launch) {
        const auto next =
            std::prev(std::upper_bound(batches_.begin(), batches_.end(), count - done));
        const int batch = *next;
        backend_.copy(memory_.index.get(), index + done, sizeof(int32_t) * batch,
                      CopyKind::host_to_device, stream_);
        backend_.record(*starts_[launch], stream_);
        backend_.launch(*graphs_[next - batches_.begin()], stream_);
        backend_.record(*stops_[launch], stream_);
        backend_.copy(embeds + static_cast<size_t>(done) * dim, memory_.embeds.get(),
                      sizeof(float) * batch * dim, CopyKind::device_to_host, stream_);
        backend_.copy(norms + done, memory_.norms.get(), sizeof(float) * batch,
                      CopyKind::device_to_host, stream_);
        for (int i = done; i < done + batch; ++i)
            rows_.push_back({embeds + static_cast<size_t>(i) * dim, 0, batch, 0});
        done += batch;
    }
}

} // namespace yeoul

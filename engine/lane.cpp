#include "engine/lane.h"

#include <algorithm>

namespace yeoul {

Lane::Lane(Backend& backend, Device& memory, VisionModel& model, const std::vector<int>& batches)
    : backend_(backend), model_(model), batches_(batches),
      slot_bytes_(static_cast<size_t>(model.image_height()) * model.image_width() * 3),
      arena_bytes_(model.activation_bytes(batches.back())),
      arena_(make_device_memory(memory, arena_bytes_)),
      slots_(make_device_memory(memory, slot_bytes_ * batches.back())),
      index_(make_device_memory(memory, sizeof(int32_t) * batches.back())),
      embeds_(make_device_memory(memory, sizeof(float) * batches.back() * model.dim())),
      norms_(make_device_memory(memory, sizeof(float) * batches.back())),
      host_slots_(make_pinned_memory(memory, slot_bytes_ * batches.back())),
      host_index_(make_pinned_memory(memory, sizeof(int32_t) * batches.back())),
      host_embeds_(make_pinned_memory(memory, sizeof(float) * batches.back() * model.dim())),
      host_norms_(make_pinned_memory(memory, sizeof(float) * batches.back())), stream_(memory) {
    staging_bytes_ =
        (slot_bytes_ + sizeof(int32_t) + sizeof(float) * (model.dim() + 1)) * capacity();
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
    return static_cast<uint8_t*>(host_slots_.get()) + slot_bytes_ * i;
}

VisionModel::Input Lane::input(int batch) const {
    return {
        View(slots_.get(), DType::u8, {capacity(), model_.image_height(), model_.image_width(), 3}),
        View(index_.get(), DType::i32, {batch})};
}

VisionModel::Output Lane::output(int batch) const {
    return {View(embeds_.get(), DType::f32, {batch, model_.dim()}),
            View(norms_.get(), DType::f32, {batch})};
}

void Lane::capture(int batch) {
    backend_.begin_capture(stream_);
    try {
        model_.forward(input(batch), output(batch), Arena(arena_.get(), arena_bytes_), stream_);
        graphs_.push_back(backend_.end_capture(stream_));
    } catch (...) {
        backend_.abandon_capture(stream_);
        throw;
    }
}

// The first photo must not pay for what happens once: pages of memory, threads of the math library.
void Lane::warm_up() {
    backend_.zero(arena_.get(), arena_bytes_, stream_);
    *static_cast<int32_t*>(host_index_.get()) = -1; // a row of zeros
    backend_.copy(index_.get(), host_index_.get(), sizeof(int32_t), CopyKind::host_to_device,
                  stream_);
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

    const auto* norms = static_cast<const float*>(host_norms_.get());
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
    backend_.copy(slots_.get(), host_slots_.get(), slot_bytes_ * (last + 1),
                  CopyKind::host_to_device, stream_);

    auto* index = static_cast<int32_t*>(host_index_.get());
    auto* embeds = static_cast<float*>(host_embeds_.get());
    auto* norms = static_cast<float*>(host_norms_.get());
    std::copy(photos.begin(), photos.end(), index);

    const int count = static_cast<int>(photos.size()), dim = model_.dim();
    for (int done = 0, launch = 0; done < count; ++launch) {
        const auto next =
            std::prev(std::upper_bound(batches_.begin(), batches_.end(), count - done));
        const int batch = *next;
        backend_.copy(index_.get(), index + done, sizeof(int32_t) * batch, CopyKind::host_to_device,
                      stream_);
        backend_.record(*starts_[launch], stream_);
        backend_.launch(*graphs_[next - batches_.begin()], stream_);
        backend_.record(*stops_[launch], stream_);
        backend_.copy(embeds + static_cast<size_t>(done) * dim, embeds_.get(),
                      sizeof(float) * batch * dim, CopyKind::device_to_host, stream_);
        backend_.copy(norms + done, norms_.get(), sizeof(float) * batch, CopyKind::device_to_host,
                      stream_);
        for (int i = done; i < done + batch; ++i)
            rows_.push_back({embeds + static_cast<size_t>(i) * dim, 0, batch, 0});
        done += batch;
    }
}

} // namespace yeoul

#include "engine/intake.h"

#include <algorithm>

#include "engine/photo.h"

namespace yeoul {

IntakeMemory::IntakeMemory(Device& memory, const IntakeShape& shape)
    : slots(make_device_memory(memory, shape.slot_bytes() * shape.slots)),
      host_slots(make_pinned_memory(memory, shape.host ? 0 : shape.slot_bytes() * shape.slots)),
      host_sources(make_pinned_memory(memory, shape.ring_bytes)),
      sources(make_device_memory(memory, shape.ring_bytes)) {
    for (int i = 0; i < kGroups && shape.ring_bytes > 0; ++i)
        groups.push_back(
            {make_pinned_memory(memory, kTableBytes), make_device_memory(memory, kTableBytes)});
}

Intake::Intake(Backend& backend, Device& memory, const IntakeShape& shape,
               loader::Preprocessor preprocessor, loader::DecodeOptions decode)
    : backend_(backend), shape_(shape), preprocessor_(std::move(preprocessor)), decode_(decode),
      resize_(backend.resize(
          {.height = shape.height, .width = shape.width, .tasks = IntakeMemory::kTasks})),
      memory_(memory, shape), uploaded_(shape.slots), copy_(memory) {
    if (shape.host)
        return;
    if (resize_ && shape.ring_bytes > 0)
        sources_.add({0, shape.ring_bytes});
    groups_.resize(IntakeMemory::kGroups);
    for (Group& group : groups_) {
        group.done = std::make_unique<Event>(backend);
        group.uploads.reserve(static_cast<size_t>(shape.slots));
    }
    pending_.reserve(static_cast<size_t>(shape.slots)); // an upload that was placed is not lost
    entries_.reserve(IntakeMemory::kTasks);
}

Intake::~Intake() = default;

View Intake::slots() const {
    return View(memory_.slots.get(), DType::u8, {shape_.slots, shape_.height, shape_.width, 3});
}

Intake::Counts Intake::counts() const {
    std::lock_guard lock(mutex_);
    return counts_;
}

uint8_t* Intake::host_slot(int slot) const {
    void* slots = shape_.host ? memory_.slots.get() : memory_.host_slots.get();
    return static_cast<uint8_t*>(slots) + shape_.slot_bytes() * slot;
}

std::string Intake::prepare(const Photo& photo, int slot, Result& result) {
    if (shape_.host)
        return prepare_photo(photo, preprocessor_, decode_, host_slot(slot), result).warning;
    vacate(slot);
    Upload upload{slot, {}, {}};
    const auto take = [&](const loader::ResizePlan& plan) { return place_source(plan, upload); };
    PreparedPhoto prepared;
    try {
        prepared = prepare_photo(photo, preprocessor_, decode_, host_slot(slot), result, take);
    } catch (...) { // cut short, after its first rows were taken
        give_up(upload);
        throw;
    }
    hand_over(std::move(upload));
    return std::move(prepared.warning);
}

// A photo that was given up may still be on its way.
void Intake::vacate(int slot) {
    const Event* busy = nullptr;
    {
        std::lock_guard lock(mutex_);
        const uint64_t number = std::exchange(uploaded_[slot], 0);
        if (number == kPending) {
            const auto upload = std::find_if(pending_.begin(), pending_.end(),
                                             [&](const Upload& u) { return u.slot == slot; });
            if (upload->source)
                sources_.put(*upload->source);
            pending_.erase(upload);
        }
        for (const Group& group : groups_)
            if (number != 0 && group.number == number && !backend_.complete(*group.done))
                busy = group.done.get();
    }
    if (busy)
        backend_.synchronize(EventRef(*busy));
}

loader::SourceTarget Intake::place_source(const loader::ResizePlan& plan, Upload& upload) {
    const int64_t most = static_cast<int64_t>(plan.in_height) * plan.in_width;
    if (!resize_ || shape_.ring_bytes == 0 || most > decode_.max_pixels)
        return {};
    try {
        upload.plan.emplace(plan, preprocessor_.resample);
    } catch (const Error&) { // larger than the device takes
        return {};
    }
    const PlannedResize& planned = *upload.plan;
    const size_t pitch = size_t{3} * planned.columns();
    const size_t bytes = pitch * planned.rows();
    // A table beside this one's must still fit the upload.
    const bool small = bytes <= std::min(most_source_bytes_, shape_.ring_bytes / 4) &&
                       planned.table_bytes() + sizeof(ResizeTask) <= IntakeMemory::kTableBytes / 2;
    const std::optional<BlockPolicy::Piece> piece =
        small && bytes > 0 ? take_source(bytes) : std::nullopt;
    if (!piece) {
        upload.plan.reset();
        return {};
    }
    upload.source = piece;
    return {.data = static_cast<uint8_t*>(memory_.host_sources.get()) + piece->address,
            .top = planned.top(),
            .left = planned.left(),
            .rows = planned.rows(),
            .columns = planned.columns(),
            .pitch = pitch};
}

std::optional<BlockPolicy::Piece> Intake::take_source(size_t bytes) {
    std::lock_guard lock(mutex_);
    if (const auto piece = sources_.take(bytes))
        return piece;
    reclaim();
    return sources_.take(bytes);
}

void Intake::give_up(Upload& upload) {
    if (!upload.source)
        return;
    std::lock_guard lock(mutex_);
    sources_.put(*upload.source);
}

void Intake::hand_over(Upload upload) {
    std::lock_guard lock(mutex_);
    ++(upload.source ? counts_.device_resized : counts_.host_resized);
    const int slot = upload.slot;
    pending_.push_back(std::move(upload));
    uploaded_[slot] = kPending;
    try {
        flush();
    } catch (...) { // whose photo it was shows when a batch asks for it
    }
}

void Intake::order_before(std::span<const int> slots, StreamRef stream) {
    if (shape_.host)
        return;
    const auto state = [&](int slot) { return uploaded_[slot]; };
    std::unique_lock lock(mutex_);
    while (std::any_of(slots.begin(), slots.end(),
                       [&](int slot) { return state(slot) == kPending; })) {
        flush();
        if (pending_.empty())
            break;
        const auto oldest =
            std::min_element(groups_.begin(), groups_.end(),
                             [](const Group& a, const Group& b) { return a.number < b.number; });
        const Event& event = *oldest->done;
        lock.unlock();
        backend_.synchronize(EventRef(event));
        lock.lock();
    }
    uint64_t last = 0;
    for (int slot : slots) {
        if (state(slot) == kFailed)
            std::rethrow_exception(failure_);
        last = std::max(last, state(slot));
    }
    // The copies run in order; an upload whose group was used again is done.
    for (const Group& group : groups_)
        if (last != 0 && group.number == last)
            backend_.wait(*group.done, stream);
}

void Intake::reclaim() {
    for (Group& group : groups_) {
        if (group.uploads.empty() || !backend_.complete(*group.done))
            continue;
        for (const Upload& upload : group.uploads)
            if (upload.source)
                sources_.put(*upload.source);
        group.uploads.clear();
    }
}

Intake::Group* Intake::free_group() {
    reclaim();
    for (Group& group : groups_)
        if (group.uploads.empty())
            return &group;
    return nullptr;
}

size_t Intake::next_group_size() const {
    size_t count = 0, tasks = 0, bytes = 0;
    for (const Upload& upload : pending_) {
        if (upload.source) {
            bytes += upload.plan->table_bytes() + sizeof(ResizeTask);
            if (++tasks > IntakeMemory::kTasks || bytes > IntakeMemory::kTableBytes)
                break;
        }
        ++count;
    }
    return count;
}

// As much of what is pending as there are groups for.
void Intake::flush() {
    while (!pending_.empty()) {
        Group* group = free_group();
        if (!group)
            return;
        const auto first = pending_.begin();
        const auto last = first + static_cast<ptrdiff_t>(next_group_size());
        group->uploads.assign(std::make_move_iterator(first), std::make_move_iterator(last));
        pending_.erase(first, last);
        group->number = ++uploads_;
        for (const Upload& upload : group->uploads)
            uploaded_[upload.slot] = kFailed; // unless all of it goes well
        try {
            enqueue(*group);
        } catch (...) {
            failure_ = std::current_exception();
            try { // what was enqueued still reads the ring, and the event does not say until when
                backend_.synchronize(copy_);
            } catch (...) { // the first failure is the one to tell
            }
            throw;
        }
        for (const Upload& upload : group->uploads)
            uploaded_[upload.slot] = group->number;
        ++counts_.uploads;
    }
}

void Intake::enqueue(Group& group) {
    auto* sources = static_cast<std::byte*>(memory_.sources.get());
    const auto* host_sources = static_cast<const std::byte*>(memory_.host_sources.get());
    auto* slots_data = static_cast<std::byte*>(memory_.slots.get());
    entries_.clear();
    for (const Upload& upload : group.uploads) {
        if (!upload.source) {
            backend_.copy(slots_data + shape_.slot_bytes() * upload.slot, host_slot(upload.slot),
                          shape_.slot_bytes(), CopyKind::host_to_device, copy_);
            continue;
        }
        const size_t offset = upload.source->address;
        const int pitch = 3 * upload.plan->columns();
        backend_.copy(sources + offset, host_sources + offset,
                      static_cast<size_t>(pitch) * upload.plan->rows(), CopyKind::host_to_device,
                      copy_);
        entries_.push_back({&*upload.plan, offset, pitch, upload.slot});
    }
    if (!entries_.empty()) {
        const IntakeMemory::Group& memory = memory_.groups[&group - groups_.data()];
        const size_t bytes = resize_table_bytes(entries_);
        fill_resize_table(entries_, {shape_.ring_bytes, shape_.slots, shape_.height, shape_.width},
                          memory.host_table.get(), IntakeMemory::kTableBytes);
        backend_.copy(memory.table.get(), memory.host_table.get(), bytes, CopyKind::host_to_device,
                      copy_);
        (*resize_)(View(memory_.sources.get(), DType::u8, {static_cast<int>(shape_.ring_bytes)}),
                   View(memory.table.get(), DType::u8, {static_cast<int>(bytes)}),
                   static_cast<int>(entries_.size()), slots(), copy_);
    }
    backend_.record(*group.done, copy_);
}

} // namespace yeoul

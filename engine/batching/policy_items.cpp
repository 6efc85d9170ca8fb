// The policy's bookkeeping: photos in their queues, and what was learned from their times.
#include <algorithm>
#include <cmath>

#include "engine/batching/policy.h"

namespace yeoul::batching {
namespace {

constexpr double kMarginMemory = 256; // photos
constexpr int kDecodeMemory = 32;     // photos, of the mean of measured / estimated
constexpr int kBatchesToRescale = 64; // before the table is believed wrong
constexpr double kClockDrift = 0.05;
/// Arrivals are counted over so many latency targets: long beside a burst, short beside a day.
constexpr int kWindowTargets = 8;

} // namespace

Policy::Item* Policy::find(ItemId id) {
    const auto slot = static_cast<uint32_t>(id);
    if (slot >= items_.size() || items_[slot].state == State::free ||
        items_[slot].generation != id >> 32)
        return nullptr;
    return &items_[slot];
}

ItemId Policy::id_of(uint32_t slot) const {
    return ItemId{items_[slot].generation} << 32 | slot;
}

uint32_t Policy::new_slot() {
    if (free_slots_.empty()) {
        items_.emplace_back();
        return static_cast<uint32_t>(items_.size() - 1);
    }
    const uint32_t slot = free_slots_.back();
    free_slots_.pop_back();
    return slot;
}

void Policy::release(uint32_t slot) {
    Item& item = items_[slot];
    if (item.state != State::ended) {
        bytes_ -= item.bytes;
        in_slots_ -= item.in_slot;
        --unfinished_;
    }
    const uint32_t generation = item.generation + 1;
    item = Item{};
    item.generation = generation;
    free_slots_.push_back(slot);
}

// Finished by the policy itself: what it held is given back at once, its answer follows.
void Policy::end(uint32_t slot, ErrorCode code) {
    Item& item = items_[slot];
    if (item.state == State::ready && code == ErrorCode::deadline_exceeded)
        learn_outcome(item, false);
    if (item.state == State::decoding)
        --backlog_[static_cast<int>(item.priority)].photos;
    else
        dequeue(slot);
    bytes_ -= item.bytes;
    in_slots_ -= item.in_slot;
    --unfinished_;
    item.state = State::ended;
    ended_.push_back({{id_of(slot), item.tag}, code});
}

void Policy::enqueue(uint32_t slot, State state) {
    Item& item = items_[slot];
    Backlog& backlog = backlog_[static_cast<int>(item.priority)];
    const Key key{item.due, item.sequence, slot};
    item.state = state;
    ++backlog.photos;
    if (state == State::waiting) {
        backlog.decode_ns += item.decode_ns;
        waiting_[static_cast<int>(item.priority)].insert(key);
    } else {
        ready_.insert(ready_.end(), key);
    }
    set_expiry(slot);
}

void Policy::dequeue(uint32_t slot) {
    Item& item = items_[slot];
    Backlog& backlog = backlog_[static_cast<int>(item.priority)];
    const Key key{item.due, item.sequence, slot};
    --backlog.photos;
    if (item.state == State::waiting) {
        backlog.decode_ns -= item.decode_ns;
        waiting_[static_cast<int>(item.priority)].erase(key);
    } else {
        ready_.erase(key);
    }
    if (item.expiry != kNever)
        expiry_.erase({item.expiry, item.sequence, slot});
    item.expiry = kNever;
}

void Policy::set_expiry(uint32_t slot) {
    Item& item = items_[slot];
    if (item.deadline == kNever)
        return;
    item.expiry = item.deadline - table_.ns(0);
    if (item.state == State::waiting)
        item.expiry -= decode_estimate(item);
    expiry_.insert({item.expiry, item.sequence, slot});
}

int64_t Policy::decode_estimate(const Item& item) const {
    return static_cast<int64_t>(static_cast<double>(item.decode_ns) * decode_scale_);
}

int64_t Policy::device_free_ns(int64_t now) const {
    int64_t soonest = kNever;
    for (const Stream& stream : streams_)
        soonest = std::min(soonest, stream.free_at(now));
    return soonest;
}

// Under overload, decoding by deadline alone spends itself on photos with just one batch's time
// left: the device then runs batches of one and drops most of them. So each photo that was decoded
// for nothing raises the time that the next ones must have left, and each that reached the device
// lowers it: near no margin at 1 % of waste, several batches' time at 20 %.
void Policy::learn_outcome(const Item& item, bool launched) {
    if (item.decode_ns == 0)
        return;
    if (launched)
        decode_margin_ns_ -= decode_margin_ns_ / kMarginMemory;
    else
        decode_margin_ns_ = std::min(static_cast<double>(config_.latency_target_ns) / 2,
                                     decode_margin_ns_ + static_cast<double>(table_.ns(0)) / 8);
}

void Policy::learn_decode(int64_t now, const Item& item) {
    const double ratio =
        static_cast<double>(now - item.decode_start) / static_cast<double>(item.decode_ns);
    decode_scale_ += (std::clamp(ratio, 0.0, 100.0) - decode_scale_) / kDecodeMemory;
}

void Policy::learn_batch(int64_t now, const Running& batch) {
    const double ratio =
        static_cast<double>(now - batch.start) / static_cast<double>(table_.ns(batch.bucket));
    device_scale_ += (std::clamp(ratio, 0.0, 10.0) - device_scale_) / kBatchesToRescale;
    if (++device_samples_ < kBatchesToRescale || std::abs(device_scale_ - 1) < kClockDrift)
        return;
    rescale(device_scale_);
    device_scale_ = 1;
    device_samples_ = 0;
}

void Policy::count_arrival(int64_t now) {
    const int64_t window = kWindowTargets * config_.latency_target_ns;
    if (now - window_start_ >= window) {
        window_before_ = now - window_start_ < 2 * window ? window_count_ : 0;
        window_count_ = 0;
        window_start_ = now;
    }
    ++window_count_;
}

// The window before counts for as much of it as is not yet replaced by this one.
double Policy::arrivals_per_ns(int64_t now) const {
    const auto window = static_cast<double>(kWindowTargets * config_.latency_target_ns);
    const double share = std::clamp(static_cast<double>(now - window_start_) / window, 0.0, 2.0);
    if (share >= 1)
        return window_count_ / (share * window);
    return (window_count_ + (1 - share) * window_before_) / window;
}

} // namespace yeoul::batching

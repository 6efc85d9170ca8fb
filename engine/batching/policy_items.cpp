// The policy's bookkeeping: photos in their queues, and what was learned from their times.
#include <algorithm>
#include <cmath>

#include "engine/batching/policy.h"

namespace yeoul::batching {
namespace {

constexpr double kMarginMemory = 256; // photos
/// Of estimated decoding time, for the mean of measured / estimated: 32 photos of a megapixel. By
/// time and not by photos, or a hundred icons, whose guess is far off, would make photos look slow.
constexpr double kDecodeMemoryNs = 160e6;
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

// Makes sure that so many items are free, and that admitted_ has room for them.
void Policy::reserve(size_t items) {
    admitted_.reserve(items);
    const size_t more = items - std::min(items, free_);
    if (items_.size() + more > items_.capacity())
        items_.reserve(std::max(items_.size() + more, 2 * items_.capacity()));
    for (size_t i = 0; i < more; ++i) {
        items_.emplace_back();
        prepend(free_items_, static_cast<uint32_t>(items_.size() - 1));
    }
    free_ += more;
}

Policy::Queue Policy::blank_keys(size_t count) {
    Queue keys(&nodes_);
    for (uint64_t i = 0; i < count; ++i)
        keys.insert(keys.end(), Key{.sequence = i});
    return keys;
}

void Policy::append(List& list, uint32_t slot) {
    items_[slot].next = kNoSlot;
    (list.first == kNoSlot ? list.first : items_[list.last].next) = slot;
    list.last = slot;
}

void Policy::prepend(List& list, uint32_t slot) {
    items_[slot].next = list.first;
    list.last = list.first == kNoSlot ? slot : list.last;
    list.first = slot;
}

uint32_t Policy::take_first(List& list) {
    const uint32_t slot = list.first;
    list.first = items_[slot].next;
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
    prepend(free_items_, slot); // the next one finds its memory in the cache
    ++free_;
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
    item.code = code;
    append(ended_, slot);
}

void Policy::enqueue(uint32_t slot, State state) {
    Item& item = items_[slot];
    Backlog& backlog = backlog_[static_cast<int>(item.priority)];
    item.queue_node.value() = {item.due, item.sequence, slot};
    item.state = state;
    ++backlog.photos;
    if (state == State::waiting) {
        backlog.decode_ns += item.decode_ns;
        Queue& waiting = waiting_[static_cast<int>(item.priority)];
        waiting.insert(waiting.end(), std::move(item.queue_node));
    } else {
        ready_.insert(ready_.end(), std::move(item.queue_node));
    }
    set_expiry(slot);
}

// Mostly it is the first.
Policy::Queue::node_type Policy::extract(Queue& queue, const Key& key) {
    return queue.begin()->slot == key.slot ? queue.extract(queue.begin()) : queue.extract(key);
}

void Policy::dequeue(uint32_t slot) {
    Item& item = items_[slot];
    Backlog& backlog = backlog_[static_cast<int>(item.priority)];
    const Key key{item.due, item.sequence, slot};
    --backlog.photos;
    if (item.state == State::waiting) {
        backlog.decode_ns -= item.decode_ns;
        item.queue_node = extract(waiting_[static_cast<int>(item.priority)], key);
    } else {
        item.queue_node = extract(ready_, key);
    }
    if (item.expiry != kNever)
        item.expiry_node = extract(expiry_, {item.expiry, item.sequence, slot});
    item.expiry = kNever;
}

void Policy::set_expiry(uint32_t slot) {
    Item& item = items_[slot];
    if (item.deadline == kNever)
        return;
    item.expiry = item.deadline - table_.ns(0);
    if (item.state == State::waiting)
        item.expiry -= decode_estimate(item);
    item.expiry_node.value() = {item.expiry, item.sequence, slot};
    expiry_.insert(expiry_.end(), std::move(item.expiry_node));
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

// What is refused by an estimate teaches nothing, so a wrong one (a stalled disk, a throttled
// device) would refuse for ever. A refusal while nothing at all is under way is a sign of that, and
// moves every estimate back towards what it was at first.
void Policy::doubt_estimates(int64_t now, const Item& refused) {
    constexpr double kFade = 0.9;
    if (refused.deadline <= now || !decoding_.empty() || !ready_.empty() || any_running())
        return;
    decode_margin_ns_ *= kFade;
    if (decode_scale_ > 1)
        decode_scale_ = std::max(1.0, decode_scale_ * kFade);
    if (table_.ns(0) > least_ns_)
        rescale(
            std::max(kFade, static_cast<double>(least_ns_) / static_cast<double>(table_.ns(0))));
}

void Policy::learn_decode(int64_t now, const Item& item) {
    const auto estimated = static_cast<double>(item.decode_ns);
    const double ratio = static_cast<double>(now - item.decode_start) / estimated;
    decode_scale_ +=
        (std::clamp(ratio, 0.0, 100.0) - decode_scale_) * estimated / (kDecodeMemoryNs + estimated);
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

#include "engine/batching/policy.h"

#include <algorithm>
#include <cmath>

namespace yeoul::batching {
namespace {

constexpr int64_t kFarthest = kNever / 64; // 4.5 years; sums of times beyond it would overflow
constexpr int64_t kLongestDecode = 3'600'000'000'000;
constexpr size_t kWindowBatches = 4; // of the largest: so far the choice of a batch looks

} // namespace

Policy::Policy(const PolicyConfig& config, CostTable table)
    : config_(config), table_(std::move(table)), least_ns_(table_.ns(0)) {
    YEOUL_REQUIRE(config_.decode_workers >= 1, config_.decode_workers << " decode workers");
    YEOUL_REQUIRE(config_.streams >= 1, config_.streams << " streams");
    YEOUL_REQUIRE(config_.latency_target_ns >= 0 && config_.bulk_wait_ns >= 0 &&
                      config_.max_wait_ns >= 0 && config_.lead_ns >= 0,
                  "a time of the policy is negative");
    set_defaults();
    for (int worker = config_.decode_workers; worker-- > 0;)
        idle_workers_.push_back(worker);
    decoding_.reserve(idle_workers_.size());
    const auto largest = static_cast<size_t>(table_.largest());
    streams_.resize(config_.streams);
    for (Stream& stream : streams_)
        for (Running& batch : stream.batches)
            batch.slots.reserve(largest);
    batch_.reserve(largest);
    queue_.reserve(kWindowBatches * largest);
    in_order_.reserve(kWindowBatches * largest);
}

void Policy::set_defaults() {
    if (config_.latency_target_ns == 0)
        config_.latency_target_ns = std::max<int64_t>(50'000'000, 4 * table_.ns(0));
    config_.latency_target_ns = std::min(config_.latency_target_ns, kFarthest);
    config_.bulk_wait_ns = std::min(config_.bulk_wait_ns, kFarthest);
    if (config_.slots == 0)
        config_.slots = 4 * table_.largest() + config_.decode_workers;
    YEOUL_REQUIRE(config_.slots > config_.decode_workers,
                  config_.slots << " slots for " << config_.decode_workers << " decode workers");
}

Admission Policy::admit(int64_t now, const AlbumRequest& album) {
    size_t bytes = 0;
    for (const ItemRequest& item : album.items)
        bytes += item.bytes;
    Admission admission;
    if (closed_ || bytes > config_.queue_bytes) {
        admission.retry_after_ns = kNever;
        return admission;
    }
    const int64_t wait = estimated_wait_ns(now, album.priority);
    if (bytes_ + bytes > config_.queue_bytes) {
        const double excess =
            static_cast<double>(bytes_ + bytes - config_.queue_bytes) / static_cast<double>(bytes_);
        const int64_t drain = estimated_wait_ns(now, Priority::bulk);
        admission.retry_after_ns =
            std::max<int64_t>(1, std::llround(excess * static_cast<double>(drain)));
        return admission;
    }
    if (wait > config_.max_wait_ns) {
        admission.retry_after_ns = wait - config_.max_wait_ns;
        return admission;
    }

    const bool bulk = album.priority == Priority::bulk;
    const int64_t target = now + (bulk ? config_.bulk_wait_ns : config_.latency_target_ns);
    int64_t deadline = std::max(album.deadline_ns, -kFarthest);
    if (deadline > kFarthest)
        deadline = kNever;
    if (config_.drop_late && !bulk)
        deadline = std::min(deadline, target);
    const size_t count = album.items.size();
    Queue keys = blank_keys(count), expiries = blank_keys(deadline == kNever ? 0 : count);
    reserve(count);
    admitted_.clear();
    for (const ItemRequest& request : album.items) {
        const uint32_t slot = take_first(free_items_);
        --free_;
        Item& item = items_[slot];
        item.queue_node = keys.extract(keys.begin());
        if (!expiries.empty())
            item.expiry_node = expiries.extract(expiries.begin());
        item.deadline = deadline;
        item.due = std::min(target, deadline);
        item.decode_ns = std::clamp<int64_t>(request.decode_ns, 0, kLongestDecode);
        item.tag = request.tag;
        item.sequence = sequence_++;
        item.bytes = request.bytes;
        item.priority = album.priority;
        bytes_ += item.bytes;
        ++unfinished_;
        admitted_.push_back(id_of(slot));
        if (item.decode_ns == 0)
            count_arrival(now);
        enqueue(slot, item.decode_ns > 0 ? State::waiting : State::ready);
    }
    admission.accepted = true;
    admission.ids = admitted_;
    return admission;
}

int64_t Policy::estimated_wait_ns(int64_t now, Priority priority) const {
    Backlog ahead = backlog_[0];
    // Bulk that is due before the newcomer is passes it: all of it, when the first of it is.
    const Queue& bulk = waiting_[1];
    if (priority == Priority::bulk ||
        (!bulk.empty() && bulk.begin()->at <= now + config_.latency_target_ns)) {
        ahead.decode_ns += backlog_[1].decode_ns;
        ahead.photos += backlog_[1].photos;
    }
    const double decode =
        static_cast<double>(ahead.decode_ns) * decode_scale_ / config_.decode_workers;
    const double device =
        static_cast<double>(ahead.photos) * 1e9 / table_.best_per_second() / config_.streams;
    const int64_t busy = device_free_ns(now) - now;
    const double compute = static_cast<double>(busy) + device;
    return static_cast<int64_t>(config_.shared_cores ? decode + compute
                                                     : std::max(decode, compute));
}

bool Policy::decoded(int64_t now, ItemId id, bool ok) {
    Item* item = find(id);
    YEOUL_REQUIRE(item && item->state == State::decoding, "item " << id << " is not being decoded");
    const auto slot = static_cast<uint32_t>(id);
    idle_workers_.push_back(item->worker);
    std::erase(decoding_, slot);
    if (item->cancelled) {
        end(slot, ErrorCode::cancelled);
        return false;
    }
    if (!ok) {
        --backlog_[static_cast<int>(item->priority)].photos;
        release(slot);
        return true;
    }
    learn_decode(now, *item);
    count_arrival(now);
    --backlog_[static_cast<int>(item->priority)].photos; // enqueue() counts it again
    enqueue(slot, State::ready);
    return true;
}

void Policy::batch_done(int64_t now, int index, bool ok) {
    YEOUL_REQUIRE(index >= 0 && index < config_.streams && streams_[index].running > 0,
                  "stream " << index << " runs no batch");
    Stream& stream = streams_[index];
    Running& batch = stream.batches[0];
    for (uint32_t slot : batch.slots)
        release(slot);
    batch.slots.clear();
    if (ok)
        learn_batch(now, batch);
    std::swap(stream.batches[0], stream.batches[1]);
    if (--stream.running > 0) { // the other one begins now, whatever was expected
        batch.start = now;
        batch.until = now + table_.ns(batch.bucket);
    }
}

Cancelled Policy::cancel(int64_t, ItemId id) {
    Item* item = find(id);
    if (!item)
        return Cancelled::unknown;
    switch (item->state) {
    case State::waiting:
    case State::ready:
        end(static_cast<uint32_t>(id), ErrorCode::cancelled);
        return Cancelled::answered;
    case State::decoding:
        item->cancelled = true;
        return Cancelled::decoding;
    case State::running:
        return Cancelled::running;
    default: // answered, but not fetched yet
        return Cancelled::unknown;
    }
}

void Policy::abort(int64_t) {
    closed_ = true;
    for (Queue* queue : {&waiting_[0], &waiting_[1], &ready_})
        while (!queue->empty())
            end(queue->begin()->slot, ErrorCode::cancelled);
    for (Item& item : items_)
        item.cancelled |= item.state == State::decoding;
}

void Policy::rescale(double ratio) {
    table_.rescale(ratio);
    Queue before(&nodes_);
    before.swap(expiry_);
    while (!before.empty()) {
        const uint32_t slot = before.begin()->slot;
        items_[slot].expiry_node = before.extract(before.begin());
        set_expiry(slot);
    }
}

Decision Policy::next(int64_t now) {
    Decision decision;
    expire(now);
    if (take_answer(decision) || launch_next(now, decision) || decode_next(now, decision))
        return decision;
    if (!expiry_.empty())
        decision.until_ns = expiry_.begin()->at + 1;
    if (config_.lead_ns > 0 && !ready_.empty())
        for (const Stream& stream : streams_)
            if (const int64_t at = stream.batches[0].until - config_.lead_ns;
                stream.running == 1 && at > now)
                decision.until_ns = std::min(decision.until_ns, at);
    if (config_.shared_cores && !ready_.empty())
        for (uint32_t slot : decoding_)
            if (const int64_t at = items_[slot].decode_start + patience_ns(); at > now)
                decision.until_ns = std::min(decision.until_ns, at);
    if (config_.full_batches && !ready_.empty() && ready_.begin()->at > now)
        decision.until_ns = std::min(decision.until_ns, ready_.begin()->at);
    return decision;
}

bool Policy::take_answer(Decision& decision) {
    if (ended_.first == kNoSlot)
        return false;
    const uint32_t slot = take_first(ended_);
    decision.kind = Decision::answer;
    decision.item = {id_of(slot), items_[slot].tag};
    decision.code = items_[slot].code;
    release(slot);
    return true;
}

void Policy::expire(int64_t now) {
    while (!expiry_.empty() && expiry_.begin()->at < now) {
        const uint32_t slot = expiry_.begin()->slot;
        end(slot, ErrorCode::deadline_exceeded);
        doubt_estimates(now, items_[slot]);
    }
}

// A free one, or the one that will be free soonest when that is soon.
Policy::Stream* Policy::next_stream(int64_t now) {
    Stream* best = nullptr;
    for (Stream& stream : streams_) {
        if (stream.running == 0)
            return &stream;
        if (stream.running == 1 && config_.lead_ns > 0 &&
            stream.batches[0].until - now <= config_.lead_ns &&
            (best == nullptr || stream.free_at(now) < best->free_at(now)))
            best = &stream;
    }
    return best;
}

int64_t Policy::patience_ns() const {
    return std::max(config_.latency_target_ns, table_.ns(table_.size() - 1));
}

int Policy::young_decodes(int64_t now) const {
    return static_cast<int>(std::count_if(decoding_.begin(), decoding_.end(), [&](uint32_t slot) {
        return now - items_[slot].decode_start < patience_ns();
    }));
}

bool Policy::any_running() const {
    return std::any_of(streams_.begin(), streams_.end(),
                       [](const Stream& stream) { return stream.running > 0; });
}

// Of shared cores: the device's turn comes when there is enough for it, nothing left to decode, or
// when the first photo would be late if one more were decoded before.
bool Policy::devices_turn(int64_t now) {
    if (ready_.empty())
        return false;
    const int photos = ready() + young_decodes(now);
    // Enough for the streams, and worth the decoding threads' while: the last one idles alone.
    if (photos >= std::max(table_.largest() * config_.streams, 2 * config_.decode_workers))
        return true;
    const Queue* queue = idle_workers_.empty() ? nullptr : next_to_decode(now);
    if (!queue)
        return true;
    const int64_t left = ready_.begin()->at - now;
    const int64_t decode = decode_estimate(items_[queue->begin()->slot]);
    const auto now_or_never = [&](int bucket, int bucket_after) {
        return table_.ns(bucket) <= left && decode + table_.ns(bucket_after) > left;
    };
    return now_or_never(0, 0) ||
           now_or_never(table_.bucket_for(photos), table_.bucket_for(photos + 1));
}

bool Policy::batch_is_due(int64_t now) const {
    return !ready_.empty() &&
           (!config_.full_batches || ready() >= table_.largest() || ready_.begin()->at <= now);
}

// Of queue_, for a stream that is free at `start`.
Choice Policy::choose(int64_t now, int64_t start) const {
    if (!config_.full_batches)
        return choose_batch(table_, queue_, start,
                            {config_.latency_target_ns, arrivals_per_ns(now)});
    Choice all{.bucket = table_.size() - 1};
    for (; all.scanned < static_cast<int>(queue_.size()) && all.photos < table_.largest();
         ++all.scanned)
        all.photos += queue_[all.scanned].deadline_ns >= start + table_.ns(all.bucket);
    return all;
}

bool Policy::launch_next(int64_t now, Decision& decision) {
    if (!batch_is_due(now))
        return false;
    // Once one stream runs nothing is decoded, and the others may as well have what is ready.
    if (config_.shared_cores && (young_decodes(now) > 0 || (!any_running() && !devices_turn(now))))
        return false;
    Stream* stream = next_stream(now);
    if (!stream)
        return false;
    const int64_t start = stream->free_at(now);
    queue_.clear();
    in_order_.clear();
    const size_t window = kWindowBatches * static_cast<size_t>(table_.largest());
    const int64_t soonest = start + table_.ns(0);
    for (auto key = ready_.begin(); key != ready_.end() && queue_.size() < window; ++key) {
        const Item& item = items_[key->slot];
        if (item.deadline < soonest) // it may still go to a stream that is free earlier
            continue;
        queue_.push_back({item.due >= soonest ? item.due : item.deadline, item.deadline});
        in_order_.push_back(*key);
    }
    if (queue_.empty())
        return false;
    const Choice choice = choose(now, start);
    if (choice.photos == 0)
        return false;

    Running& running = stream->batches[stream->running++];
    running.bucket = choice.bucket;
    running.start = start;
    running.until = start + table_.ns(choice.bucket);
    batch_.clear();
    for (int i = 0; i < choice.scanned; ++i) {
        if (queue_[i].deadline_ns < running.until)
            continue;
        const uint32_t slot = in_order_[i].slot;
        dequeue(slot);
        learn_outcome(items_[slot], true);
        items_[slot].state = State::running;
        running.slots.push_back(slot);
        batch_.push_back({id_of(slot), items_[slot].tag});
    }
    decision.kind = Decision::launch;
    decision.stream = static_cast<int>(stream - streams_.data());
    decision.bucket = choice.bucket;
    decision.batch = batch_;
    decision.until_ns = running.until;
    return true;
}

Policy::Queue* Policy::next_to_decode(int64_t now) {
    Queue &interactive = waiting_[0], &bulk = waiting_[1];
    if (in_slots_ >= config_.slots)
        return nullptr;
    const bool may_bulk = !bulk.empty() && (bulk.begin()->at <= now ||
                                            in_slots_ + config_.decode_workers < config_.slots);
    if (interactive.empty())
        return may_bulk ? &bulk : nullptr;
    return may_bulk && *bulk.begin() < *interactive.begin() ? &bulk : &interactive;
}

bool Policy::decode_next(int64_t now, Decision& decision) {
    Queue* queue = idle_workers_.empty() ? nullptr : next_to_decode(now);
    if (!queue)
        return false;
    if (config_.shared_cores && (any_running() || devices_turn(now)))
        return false;
    const uint32_t slot = queue->begin()->slot;
    Item& item = items_[slot];
    const int64_t decoded = now + decode_estimate(item);
    const int64_t soonest = std::max(decoded, device_free_ns(now)) + table_.ns(0);
    if (item.deadline < soonest + static_cast<int64_t>(decode_margin_ns_)) {
        end(slot, ErrorCode::deadline_exceeded);
        doubt_estimates(now, items_[slot]);
        return take_answer(decision);
    }
    dequeue(slot);
    ++backlog_[static_cast<int>(item.priority)].photos; // still to come for the device
    item.state = State::decoding;
    item.decode_start = now;
    item.in_slot = true;
    ++in_slots_;
    decoding_.push_back(slot);
    item.worker = idle_workers_.back();
    idle_workers_.pop_back();
    decision.kind = Decision::start_decode;
    decision.item = {id_of(slot), item.tag};
    decision.worker = item.worker;
    decision.until_ns = decoded;
    return true;
}

} // namespace yeoul::batching

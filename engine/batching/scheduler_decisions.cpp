// The scheduler's decisions: fetched and carried out by whoever brings an event, or in time by the
// scheduler's own thread.
#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/batching/item_error.h"
#include "engine/batching/scheduler.h"
#include "engine/batching/scheduler_album.h"

namespace yeoul {

using batching::Decision;

// ---- whoever acts

Scheduler::Item& Scheduler::item_of(const Decision::Item& item) {
    return *reinterpret_cast<Item*>(item.tag); // NOLINT(performance-*)
}

// What is the host's to do, at once; returns the first decision for the device, or when to wait.
Decision Scheduler::carry_out_on_host() {
    for (;;) {
        const Decision decision = policy_.next(now_ns());
        if (decision.kind == Decision::answer)
            drop(decision);
        else if (decision.kind == Decision::start_decode)
            start_decode(item_of(decision.item));
        else
            return decision;
    }
}

// After each event, on the thread that brings it: what follows is carried out there, without waking
// another thread for it. Whoever finds somebody else at it leaves, who will see what changed.
void Scheduler::act(Lock& lock) {
    if (acting_)
        return;
    acting_ = true;
    Decision decision = carry_out_on_host();
    for (; decision.kind == Decision::launch; decision = carry_out_on_host()) {
        take_batch(decision);
        launch(decision.stream, lock);
    }
    acting_ = false;
    rest_until(decision.until_ns);
}

// The same on a caller's thread, which the device may not keep: at the first batch the scheduler's
// thread takes over.
void Scheduler::act_for_caller() {
    if (acting_)
        return;
    const Decision decision = carry_out_on_host();
    if (decision.kind == Decision::wait) {
        rest_until(decision.until_ns);
        return;
    }
    take_batch(decision);
    acting_ = true;
    owed_ = decision.stream;
    changed_.notify_one();
}

// With nothing left to do before `until_ns`.
void Scheduler::rest_until(int64_t until_ns) {
    until_ns_ = until_ns;
    if (until_ns < sleeping_until_ns_ || closing_ || dropped_)
        changed_.notify_one();
}

void Scheduler::start_decode(Item& item) {
    item.slot = free_slots_.back();
    free_slots_.pop_back();
    to_decode_.push_back(&item);
    decodable_.notify_one();
}

void Scheduler::take_batch(const Decision& decision) {
    launching_.bucket = decision.bucket;
    launching_.items.clear();
    launching_.error.reset();
    launch_slots_.clear();
    for (const Decision::Item& chosen : decision.batch) {
        launching_.items.push_back(&item_of(chosen));
        launch_slots_.push_back(launching_.items.back()->slot);
    }
}

void Scheduler::launch(int index, Lock& lock) {
    Batch& batch = launching_;
    // One photo that wants tags is enough: they cost next to nothing.
    const bool tags = std::any_of(batch.items.begin(), batch.items.end(),
                                  [](const Item* item) { return item->album->request.tags > 0; });
    lock.unlock();
    try {
        stages_.launch(index, batch.bucket, launch_slots_, tags);
    } catch (...) { // answered by the stream's thread, when it is this batch's turn
        batch.error = describe_exception();
    }
    acquire(lock);
    StreamState& stream = *streams_[index];
    std::swap(stream.batches[stream.launched++], batch);
    stream.changed.notify_one();
}

// Its callback is for the scheduler's thread: it must keep neither the device nor decoders waiting.
void Scheduler::drop(const Decision& decision) {
    Item& item = item_of(decision.item);
    free_slot(item);
    item.dropped = decision.code;
    (dropped_ ? last_dropped_->next_dropped : dropped_) = &item;
    last_dropped_ = &item;
}

// ---- the scheduler's thread

void Scheduler::schedule() {
    Lock lock(mutex_);
    for (;;) {
        if (const std::optional<int> stream = std::exchange(owed_, std::nullopt)) {
            launch(*stream, lock);
            acting_ = false;
        }
        act(lock);
        // One at a time: whoever resubmits at once must not starve the admitted.
        if (answer_dropped(lock) || refuse_next(lock))
            continue;
        if (closing_ && !acting_ && policy_.unfinished() == 0) {
            finished_ = true;
            decodable_.notify_all();
            for (const auto& stream : streams_)
                stream->changed.notify_all();
            return;
        }
        sleeping_until_ns_ = acting_ ? batching::kNever : until_ns_;
        if (sleeping_until_ns_ == batching::kNever)
            changed_.wait(lock);
        else
            changed_.wait_until(lock, std::chrono::steady_clock::time_point(
                                          std::chrono::nanoseconds(sleeping_until_ns_)));
        sleeping_until_ns_ = 0;
    }
}

bool Scheduler::answer_dropped(Lock& lock) {
    if (!dropped_)
        return false;
    Item& item = *dropped_;
    dropped_ = item.next_dropped;
    ItemError error;
    if (item.dropped == ErrorCode::deadline_exceeded)
        error =
            error_of(item.dropped, "the request's deadline would pass before its vector is there");
    else if (lost_)
        error = error_of(ErrorCode::device_lost, lost_message_);
    else if (item.album->cancelled)
        error = error_of(item.dropped, "the caller gave up");
    else
        error = error_of(item.dropped, "the engine is closing");
    lock.unlock();
    finish(item, std::move(error));
    lock.lock();
    return true;
}

bool Scheduler::refuse_next(Lock& lock) {
    if (refused_.empty())
        return false;
    std::list<Refusal> first;
    first.splice(first.end(), refused_, refused_.begin());
    lock.unlock();
    const ItemError& error = first.front().error;
    for (Item& item : first.front().album->items) {
        ItemError own = error_of(error.code, error.message);
        own.retry_after_ms = error.retry_after_ms;
        finish(item, std::move(own));
    }
    first.clear();
    lock.lock();
    return true;
}

} // namespace yeoul

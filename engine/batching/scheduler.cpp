#include "engine/batching/scheduler.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <new>
#include <utility>

#include "engine/batching/item_error.h"
#include "engine/batching/scheduler_album.h"

namespace yeoul {
namespace {

// What decoding will take, roughly: the policy corrects it by what it sees. A JPEG of one megapixel
// has about 300 kB and takes 5 ms.
constexpr double kNsPerEncodedByte = 17;
constexpr double kNsPerPixelByte = 0.5;
constexpr double kLeastNs = 300'000;   // of an encoded photo, however small
constexpr int kLooks = 100;            // at a mutex before it is waited for
constexpr int64_t kFileNs = 5'000'000; // of a file that was not opened yet

batching::ItemRequest describe(const Photo& photo, uint64_t tag) {
    batching::ItemRequest request{.tag = tag, .bytes = photo.encoded.size() + photo.pixels.size()};
    double ns = kFileNs;
    if (!photo.pixels.empty())
        ns = kNsPerPixelByte * static_cast<double>(photo.pixels.size());
    else if (!photo.encoded.empty())
        ns = kLeastNs + kNsPerEncodedByte * static_cast<double>(photo.encoded.size());
    request.decode_ns = std::max<int64_t>(1, std::llround(ns));
    return request;
}

} // namespace

Scheduler::Scheduler(Stages& stages, Options options)
    : stages_(stages), dim_(options.dim), log_(std::move(options.log)),
      policy_(options.policy, std::move(options.table)) {
    for (int slot = policy_.config().slots; slot-- > 0;)
        free_slots_.push_back(slot);
    to_decode_.reserve(static_cast<size_t>(policy_.config().decode_workers));
    for (int i = 0; i < policy_.config().streams; ++i) {
        streams_.push_back(std::make_unique<StreamState>());
        for (Batch& batch : streams_.back()->batches)
            batch = empty_batch();
        streams_.back()->answering = empty_batch();
    }
    launching_ = empty_batch();
    for (const batching::BatchCost& bucket : policy_.table().buckets())
        stats_.buckets.push_back({.batch = bucket.batch, .us = bucket.us});
    launch_slots_.reserve(static_cast<size_t>(policy_.table().largest()));
    try {
        start_threads();
    } catch (...) { // the system gives no more threads
        stop();
        throw;
    }
}

Scheduler::~Scheduler() {
    stop();
}

// mutex_ is held for less than a microsecond at a time; to sleep for it costs ten times that.
void Scheduler::acquire(Lock& lock) {
    for (int i = 0; i < kLooks; ++i) {
        if (lock.try_lock())
            return;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    lock.lock();
}

Scheduler::Lock Scheduler::locked() const {
    Lock lock(mutex_, std::defer_lock);
    acquire(lock);
    return lock;
}

// One with room for the largest.
Scheduler::Batch Scheduler::empty_batch() const {
    Batch batch;
    batch.items.reserve(static_cast<size_t>(policy_.table().largest()));
    return batch;
}

void Scheduler::start_threads() {
    threads_.reserve(static_cast<size_t>(1 + policy_.config().decode_workers) + streams_.size());
    for (int i = 0; i < policy_.config().decode_workers; ++i)
        threads_.emplace_back([this] { decode(); });
    for (int i = 0; i < policy_.config().streams; ++i)
        threads_.emplace_back([this, i] { run_stream(i); });
    threads_.emplace_back([this] { schedule(); });
}

void Scheduler::stop() noexcept {
    const bool scheduling =
        threads_.size() ==
        static_cast<size_t>(1 + policy_.config().decode_workers) + streams_.size();
    {
        std::lock_guard lock(mutex_);
        closing_ = true;
        policy_.abort(now_ns());
        finished_ |= !scheduling;
    }
    changed_.notify_all();
    decodable_.notify_all();
    for (const auto& stream : streams_)
        stream->changed.notify_all();
    for (auto thread = threads_.rbegin(); thread != threads_.rend(); ++thread)
        thread->join();
    // What callbacks of the last answers submitted.
    for (Lock lock(mutex_); refuse_next(lock);)
        continue;
}

// ---- any thread

void Scheduler::submit(Request request, OnDone on_done) {
    try {
        take(std::move(request), std::move(on_done));
    } catch (const std::bad_alloc&) {
        throw no_memory_for_request();
    }
}

void Scheduler::take(Request request, OnDone on_done) {
    auto album = std::make_shared<Album>();
    album->request = std::move(request);
    album->on_done = std::move(on_done);
    const size_t count = album->request.photos.size();
    if (count == 0) {
        call([&] { album->on_done({}); });
        return;
    }
    album->results.resize(count);
    album->remaining = count;
    album->items.resize(count);
    for (size_t i = 0; i < count; ++i)
        album->items[i] = {.album = album.get(), .index = i};

    // From the admission on nothing may fail.
    std::list<Refusal> refused;
    ItemError& refusal = refused.emplace_back(Refusal{album, {ErrorCode::queue_full, {}}}).error;
    if (album->request.stop.stop_requested())
        refusal = {ErrorCode::cancelled, "the caller gave up"};
    if (refusal.code == ErrorCode::cancelled || !admit(album, refusal)) {
        std::lock_guard lock(mutex_);
        refused_.splice(refused_.end(), refused);
        changed_.notify_one();
        return;
    }
    if (!album->request.stop.stop_possible())
        return;
    // Under no other lock: it runs at once when the stop was requested before.
    std::lock_guard lock(album->stop_mutex);
    if (!album->finished)
        album->on_stop.emplace(album->request.stop,
                               [this, album = album.get()] { cancel(*album); });
}

bool Scheduler::admit(const std::shared_ptr<Album>& album, ItemError& refusal) {
    std::vector<batching::ItemRequest> items;
    items.reserve(album->items.size());
    for (Item& item : album->items)
        items.push_back(
            describe(album->request.photos[item.index], reinterpret_cast<uintptr_t>(&item)));
    const Request& request = album->request;
    batching::AlbumRequest asked{.priority = request.priority, .items = items};
    if (request.deadline)
        asked.deadline_ns = nanoseconds(*request.deadline);

    const Lock lock = locked();
    if (lost_) {
        refusal = {ErrorCode::device_lost, lost_message_};
        return false;
    }
    const batching::Admission admission = policy_.admit(now_ns(), asked);
    if (!admission.accepted) {
        const bool never = admission.retry_after_ns == batching::kNever;
        if (!never)
            refusal.retry_after_ms = static_cast<double>(admission.retry_after_ns) / 1e6;
        if (closing_)
            refusal.code = ErrorCode::cancelled;
        refusal.message = closing_ ? "the engine is closing"
                          : never  ? "the request alone is larger than the queue may be; send "
                                     "fewer photos at a time"
                                   : "the queue is full; try again later";
        return false;
    }
    for (size_t i = 0; i < admission.ids.size(); ++i)
        album->items[i].id = admission.ids[i];
    album->self = album;
    act_for_caller();
    return true;
}

void Scheduler::cancel(Album& album) {
    album.cancelled = true;
    {
        std::lock_guard lock(mutex_);
        for (const Item& item : album.items)
            policy_.cancel(now_ns(), item.id);
    }
    changed_.notify_one();
}

EngineStats Scheduler::stats() const {
    EngineStats stats;
    {
        std::lock_guard lock(stats_mutex_);
        stats = stats_;
    }
    std::lock_guard lock(mutex_);
    stats.waiting = policy_.waiting() + policy_.ready();
    stats.in_flight = policy_.unfinished();
    stats.queued_bytes = static_cast<int64_t>(policy_.queued_bytes());
    return stats;
}

// ---- decoding threads

void Scheduler::decode() {
    Lock lock(mutex_);
    for (;;) {
        decodable_.wait(lock, [&] { return finished_ || !to_decode_.empty(); });
        if (to_decode_.empty())
            return;
        Item& item = *to_decode_.front();
        to_decode_.erase(to_decode_.begin());
        lock.unlock();
        std::optional<ItemError> error = prepare(item);
        acquire(lock);
        const bool mine = policy_.decoded(now_ns(), item.id, !error) && error;
        if (mine)
            free_slot(item);
        act(lock);
        if (!mine)
            continue;
        lock.unlock();
        if (error->code == ErrorCode::device_lost)
            lose(error->message);
        finish(item, std::move(error));
        acquire(lock);
    }
}

std::optional<ItemError> Scheduler::prepare(Item& item) {
    Album& album = *item.album;
    if (album.cancelled || lost_) // the policy knows
        return error_of(ErrorCode::cancelled, "the caller gave up");
    Photo& photo = album.request.photos[item.index];
    std::optional<ItemError> error;
    try {
        const std::string warning = stages_.prepare(photo, item.slot, album.results[item.index]);
        if (!warning.empty() && log_)
            log_(LogLevel::warning,
                 (photo.path.empty() ? "" : photo.path.string() + ": ") + warning);
    } catch (...) {
        error = describe_exception();
    }
    photo = {}; // nobody needs its bytes any more, and the album may stay for long
    return error;
}

// ---- stream threads

void Scheduler::run_stream(int index) {
    StreamState& stream = *streams_[index];
    Batch& batch = stream.answering;
    Lock lock(mutex_);
    for (;;) {
        stream.changed.wait(lock, [&] { return finished_ || stream.launched > 0; });
        if (stream.launched == 0)
            return;
        std::swap(batch, stream.batches[0]);
        std::swap(stream.batches[0], stream.batches[1]);
        --stream.launched;
        lock.unlock();
        BatchOutput output;
        if (!batch.error) {
            try {
                output = stages_.wait(index);
            } catch (...) {
                batch.error = describe_exception();
            }
        }
        if (batch.error && batch.error->code == ErrorCode::device_lost)
            lose(batch.error->message);
        acquire(lock);
        policy_.batch_done(now_ns(), index, !batch.error);
        for (Item* item : batch.items)
            free_slot(*item);
        act(lock); // the next batch starts before this one is answered
        lock.unlock();
        answer_batch(batch, output);
        acquire(lock);
    }
}

void Scheduler::lose(const std::string& message) {
    std::string kept = error_of(ErrorCode::device_lost, message).message;
    {
        std::lock_guard lock(mutex_);
        if (lost_)
            return;
        lost_message_ = std::move(kept);
        lost_ = true;
        policy_.abort(now_ns());
    }
    changed_.notify_one();
    call([&] {
        if (log_)
            log_(LogLevel::error, message);
    });
}

} // namespace yeoul

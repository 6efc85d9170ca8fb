#include "engine/batching/scheduler.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <new>
#include <utility>

namespace yeoul {
namespace {

using batching::Decision;
using Clock = std::chrono::steady_clock;

int64_t nanoseconds(Clock::time_point time) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

int64_t now_ns() {
    return nanoseconds(Clock::now());
}

double milliseconds(Clock::duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
}

// What decoding will take, roughly: the policy corrects it by what it sees. A JPEG of one megapixel
// has about 300 kB and takes 5 ms.
constexpr double kNsPerEncodedByte = 17;
constexpr double kNsPerPixelByte = 0.5;
constexpr int64_t kFileNs = 5'000'000; // of a file that was not opened yet

batching::ItemRequest describe(const Photo& photo, uint64_t tag) {
    batching::ItemRequest request{.tag = tag, .bytes = photo.encoded.size() + photo.pixels.size()};
    double ns = kFileNs;
    if (!photo.pixels.empty())
        ns = kNsPerPixelByte * static_cast<double>(photo.pixels.size());
    else if (!photo.encoded.empty())
        ns = kNsPerEncodedByte * static_cast<double>(photo.encoded.size());
    request.decode_ns = std::max<int64_t>(1, std::llround(ns));
    return request;
}

ItemError describe_exception() {
    try {
        throw;
    } catch (const Error& error) {
        return {error.code(), error.what()};
    } catch (const std::bad_alloc&) {
        return {ErrorCode::out_of_memory, "out of memory"};
    } catch (const std::exception& error) {
        return {ErrorCode::internal, error.what()};
    }
}

// The `count` likeliest of a row of the batch.
std::vector<Tag> tags_of(const BatchOutput& output, size_t row, int count) {
    std::vector<Tag> tags;
    for (int rank = 0; rank < std::min(count, output.kept); ++rank) {
        const size_t at = row * static_cast<size_t>(output.kept) + static_cast<size_t>(rank);
        if (const int label = output.indices[at]; label >= 0)
            tags.push_back(
                {label, (*output.labels)[static_cast<size_t>(label)], output.probabilities[at]});
    }
    return tags;
}

} // namespace

/// A request on its way. It holds itself until its last photo is answered.
struct Scheduler::Album {
    Request request;
    OnDone on_done;
    Clock::time_point submitted = Clock::now();
    std::vector<Item> items;
    std::vector<Result> results; // one writer each, until it is finished
    std::atomic<bool> cancelled = false;
    std::shared_ptr<Album> self;

    std::mutex mutex; // guards what follows; on_item is called by one thread at a time
    size_t remaining = 0;

    std::mutex stop_mutex; // guards what follows; no callback of the caller runs under it
    bool finished = false;
    std::optional<std::stop_callback<std::function<void()>>> on_stop;
};

Scheduler::Scheduler(Stages& stages, Options options)
    : stages_(stages), dim_(options.dim), log_(std::move(options.log)),
      policy_(options.policy, std::move(options.table)) {
    for (int slot = policy_.config().slots; slot-- > 0;)
        free_slots_.push_back(slot);
    for (int i = 0; i < policy_.config().streams; ++i)
        streams_.push_back(std::make_unique<StreamState>());
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
    auto album = std::make_shared<Album>();
    album->request = std::move(request);
    album->on_done = std::move(on_done);
    const size_t count = album->request.photos.size();
    if (count == 0) {
        album->on_done({});
        return;
    }
    album->results.resize(count);
    album->remaining = count;
    album->items.resize(count);
    for (size_t i = 0; i < count; ++i)
        album->items[i] = {.album = album.get(), .index = i};

    ItemError refusal{ErrorCode::queue_full, {}};
    if (album->request.stop.stop_requested())
        refusal = {ErrorCode::cancelled, "the caller gave up"};
    if (refusal.code == ErrorCode::cancelled || !admit(album, refusal)) {
        std::lock_guard lock(mutex_);
        refused_.push_back({std::move(album), std::move(refusal)});
        changed_.notify_one();
        return;
    }
    changed_.notify_one();
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

    std::lock_guard lock(mutex_);
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

// ---- the scheduler thread

void Scheduler::schedule() {
    Lock lock(mutex_);
    for (;;) {
        const Decision decision = policy_.next(now_ns());
        switch (decision.kind) {
        case Decision::answer:
            answer(decision, lock);
            break;
        case Decision::start_decode:
            start_decode(*reinterpret_cast<Item*>(decision.item.tag)); // NOLINT(performance-*)
            break;
        case Decision::launch:
            launch(decision, lock);
            break;
        case Decision::wait:
            if (refuse_next(lock))
                continue;
            if (closing_ && policy_.unfinished() == 0) {
                finished_ = true;
                decodable_.notify_all();
                for (const auto& stream : streams_)
                    stream->changed.notify_all();
                return;
            }
            if (decision.until_ns == batching::kNever)
                changed_.wait(lock);
            else
                changed_.wait_until(lock,
                                    Clock::time_point(std::chrono::nanoseconds(decision.until_ns)));
            continue;
        }
        refuse_next(lock); // one at a time: whoever resubmits at once must not starve the admitted
    }
}

bool Scheduler::refuse_next(Lock& lock) {
    if (refused_.empty())
        return false;
    const Refusal refusal = std::move(refused_.front());
    refused_.pop_front();
    lock.unlock();
    for (Item& item : refusal.album->items)
        finish(item, refusal.error);
    lock.lock();
    return true;
}

void Scheduler::start_decode(Item& item) {
    item.slot = free_slots_.back();
    free_slots_.pop_back();
    to_decode_.push_back(&item);
    decodable_.notify_one();
}

void Scheduler::launch(const Decision& decision, Lock& lock) {
    Batch batch{.bucket = decision.bucket};
    launch_slots_.clear();
    bool tags = false; // one photo that wants them is enough: they cost next to nothing
    for (const Decision::Item& chosen : decision.batch) {
        batch.items.push_back(reinterpret_cast<Item*>(chosen.tag)); // NOLINT(performance-*)
        launch_slots_.push_back(batch.items.back()->slot);
        tags = tags || batch.items.back()->album->request.tags > 0;
    }
    const int stream = decision.stream;
    lock.unlock();
    try {
        stages_.launch(stream, batch.bucket, launch_slots_, tags);
    } catch (...) { // answered by the stream's thread, when it is this batch's turn
        batch.error = describe_exception();
    }
    lock.lock();
    streams_[stream]->batches.push_back(std::move(batch));
    streams_[stream]->changed.notify_one();
}

void Scheduler::answer(const Decision& decision, Lock& lock) {
    Item& item = *reinterpret_cast<Item*>(decision.item.tag); // NOLINT(performance-*)
    free_slot(item);
    ItemError error{decision.code, {}};
    if (decision.code == ErrorCode::deadline_exceeded)
        error.message = "the request's deadline would pass before its vector is there";
    else if (lost_)
        error = {ErrorCode::device_lost, lost_message_};
    else if (item.album->cancelled)
        error.message = "the caller gave up";
    else
        error.message = "the engine is closing";
    lock.unlock();
    finish(item, std::move(error));
    lock.lock();
}

// ---- decoding threads

void Scheduler::decode() {
    Lock lock(mutex_);
    for (;;) {
        decodable_.wait(lock, [&] { return finished_ || !to_decode_.empty(); });
        if (to_decode_.empty())
            return;
        Item& item = *to_decode_.front();
        to_decode_.pop_front();
        lock.unlock();
        std::optional<ItemError> error = prepare(item);
        lock.lock();
        const bool wanted = policy_.decoded(now_ns(), item.id, !error);
        changed_.notify_one();
        if (!wanted || !error)
            continue;
        free_slot(item);
        lock.unlock();
        if (error->code == ErrorCode::device_lost)
            lose(error->message);
        finish(item, std::move(error));
        lock.lock();
    }
}

std::optional<ItemError> Scheduler::prepare(Item& item) {
    Album& album = *item.album;
    if (album.cancelled || lost_) // the policy knows
        return ItemError{ErrorCode::cancelled, "the caller gave up"};
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
    Lock lock(mutex_);
    for (;;) {
        stream.changed.wait(lock, [&] { return finished_ || !stream.batches.empty(); });
        if (stream.batches.empty())
            return;
        Batch batch = std::move(stream.batches.front());
        stream.batches.pop_front();
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
        lock.lock();
        policy_.batch_done(now_ns(), index, !batch.error);
        for (Item* item : batch.items)
            free_slot(*item);
        lock.unlock();
        changed_.notify_one(); // the next batch starts while this one is answered
        answer_batch(batch, output);
        lock.lock();
    }
}

void Scheduler::answer_batch(const Batch& batch, const BatchOutput& output) {
    const int rows = stats_.buckets[batch.bucket].batch; // never changes
    if (!batch.error) {
        std::lock_guard lock(stats_mutex_);
        EngineStats::Bucket& bucket = stats_.buckets[batch.bucket];
        ++bucket.replays;
        bucket.photos += static_cast<int64_t>(batch.items.size());
        ++stats_.batches;
        stats_.compute_seconds += output.compute_ms / 1e3;
    }
    for (size_t i = 0; i < batch.items.size(); ++i) {
        Item& item = *batch.items[i];
        if (batch.error) {
            finish(item, batch.error);
            continue;
        }
        Album& album = *item.album;
        Result& result = album.results[item.index];
        result.batch = rows;
        result.times.compute_ms = output.compute_ms;
        const float norm = output.norms[i];
        if (!std::isfinite(norm)) {
            finish(item, ItemError{ErrorCode::non_finite,
                                   "the vector is not finite: the model's weights are damaged or "
                                   "too large for this precision"});
            continue;
        }
        const float* row = output.embeds + i * static_cast<size_t>(dim_);
        result.embedding.assign(row, row + dim_);
        if (album.request.normalize)
            for (float& value : result.embedding)
                value /= std::max(norm, 1e-12f); // as torch.nn.functional.normalize
        if (album.request.tags > 0)
            result.tags = tags_of(output, i, album.request.tags);
        finish(item, std::nullopt);
    }
}

// ---- all of them

void Scheduler::lose(const std::string& message) {
    {
        std::lock_guard lock(mutex_);
        if (lost_)
            return;
        lost_message_ = message;
        lost_ = true;
        policy_.abort(now_ns());
    }
    changed_.notify_one();
    if (log_)
        log_(LogLevel::error, message);
}

void Scheduler::free_slot(Item& item) {
    if (item.slot >= 0)
        free_slots_.push_back(std::exchange(item.slot, -1));
}

// Without mutex_: it calls back, and the last photo takes the album along.
void Scheduler::finish(Item& item, std::optional<ItemError> error) {
    Album& album = *item.album;
    const size_t index = item.index;
    Result& result = album.results[index];
    result.error = std::move(error);
    StageTimes& times = result.times;
    const double decode_ms = times.read_ms + times.decode_ms + times.preprocess_ms;
    times.total_ms = milliseconds(Clock::now() - album.submitted);
    times.queue_ms = std::max(0.0, times.total_ms - decode_ms - times.compute_ms);
    {
        std::lock_guard lock(stats_mutex_);
        ++stats_.photos;
        if (result.error) {
            ++stats_.failed;
            ++stats_.errors[static_cast<size_t>(result.error->code)];
        }
        stats_.decode_seconds += decode_ms / 1e3;
    }
    std::shared_ptr<Album> self;
    {
        std::lock_guard lock(album.mutex);
        if (album.request.on_item)
            album.request.on_item(index, result);
        if (--album.remaining > 0)
            return;
        self = std::move(album.self);
    }
    {
        std::lock_guard lock(album.stop_mutex);
        album.finished = true;
    }
    album.on_done(std::move(album.results));
}

} // namespace yeoul

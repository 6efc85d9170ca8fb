#include "engine/batching/dispatcher.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "engine/photo.h"

namespace yeoul {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds(Clock::duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
}

ItemError cancelled(const char* why) {
    return {ErrorCode::cancelled, why};
}

} // namespace

struct Dispatcher::Album {
    Request request;
    OnDone on_done;
    Clock::time_point submitted = Clock::now();
    std::mutex mutex; // on_item is called by one thread at a time
    std::vector<Result> results;
    size_t remaining = 0;
};

Dispatcher::Dispatcher(std::vector<std::unique_ptr<Lane>> lanes, loader::Preprocessor preprocessor,
                       loader::DecodeOptions decode, int dim, int threads,
                       std::function<void(LogLevel, std::string_view)> log)
    : lanes_(std::move(lanes)), preprocessor_(std::move(preprocessor)), decode_(decode), dim_(dim),
      log_(std::move(log)), pool_(threads) {
    for (const std::unique_ptr<Lane>& lane : lanes_)
        threads_.emplace_back([this, &lane] { serve(*lane); });
}

Dispatcher::~Dispatcher() {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_)
        thread.join();
}

void Dispatcher::submit(Request request, OnDone on_done) {
    auto album = std::make_shared<Album>();
    album->request = std::move(request);
    album->on_done = std::move(on_done);
    const size_t count = album->request.photos.size();
    album->results.resize(count);
    album->remaining = count;
    if (count == 0) {
        album->on_done({});
        return;
    }
    const size_t capacity = static_cast<size_t>(lanes_.front()->capacity());
    {
        std::lock_guard lock(mutex_);
        for (size_t begin = 0; begin < count; begin += capacity)
            chunks_.push_back({album, begin, std::min(begin + capacity, count)});
    }
    wake_.notify_all();
}

void Dispatcher::serve(Lane& lane) {
    for (;;) {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stopping_ || !chunks_.empty(); });
        if (chunks_.empty())
            return;
        const Chunk chunk = std::move(chunks_.front());
        chunks_.pop_front();
        lock.unlock();
        compute(lane, chunk);
    }
}

void Dispatcher::compute(Lane& lane, const Chunk& chunk) {
    Album& album = *chunk.album;
    const int count = static_cast<int>(chunk.end - chunk.begin);
    std::vector<Result> results(count);
    std::vector<char> prepared(count, false);
    pool_.for_each(count, [&](int i) {
        if (stopping_)
            results[i].error = cancelled("the engine is closing");
        else if (album.request.stop.stop_requested())
            results[i].error = cancelled("the caller gave up");
        else
            prepared[i] =
                prepare(album.request.photos[chunk.begin + i], lane.staging(i), results[i]);
    });

    std::vector<int> ready;
    for (int i = 0; i < count; ++i)
        if (prepared[i])
            ready.push_back(i);

    const auto start = Clock::now();
    double compute_ms = 0;
    try {
        const std::vector<Lane::Row>& rows = lane.run(ready);
        compute_ms = milliseconds(Clock::now() - start);
        for (size_t i = 0; i < ready.size(); ++i) {
            const Lane::Row& row = rows[i];
            Result& result = results[ready[i]];
            result.batch = row.batch;
            if (!std::isfinite(row.norm)) {
                result.error = ItemError{ErrorCode::non_finite,
                                         "the vector is not finite: try --precision fp32"};
                continue;
            }
            result.embedding.assign(row.embedding, row.embedding + dim_);
            if (album.request.normalize)
                for (float& value : result.embedding)
                    value /= std::max(row.norm, 1e-12f); // as torch.nn.functional.normalize
        }
    } catch (const Error& error) {
        for (int i : ready)
            results[i].error = ItemError{error.code(), error.what()};
    } catch (const std::exception& error) {
        for (int i : ready)
            results[i].error = ItemError{ErrorCode::internal, error.what()};
    }

    {
        std::lock_guard lock(stats_mutex_);
        stats_.photos += count;
        stats_.batches += ready.empty() ? 0 : 1;
        stats_.compute_seconds += compute_ms / 1e3;
        for (const Result& result : results) {
            stats_.failed += result.error.has_value();
            const StageTimes& times = result.times;
            stats_.decode_seconds += (times.read_ms + times.decode_ms + times.preprocess_ms) / 1e3;
        }
    }
    for (int i = 0; i < count; ++i) {
        StageTimes& times = results[i].times;
        times.compute_ms = prepared[i] ? compute_ms : 0;
        times.total_ms = milliseconds(Clock::now() - album.submitted);
        times.queue_ms = std::max(0.0, times.total_ms - times.read_ms - times.decode_ms -
                                           times.preprocess_ms - times.compute_ms);
        finish(album, chunk.begin + i, std::move(results[i]));
    }
}

bool Dispatcher::prepare(const Photo& photo, uint8_t* staging, Result& result) const {
    try {
        const std::string warning = prepare_photo(photo, preprocessor_, decode_, staging, result);
        if (!warning.empty() && log_)
            log_(LogLevel::warning,
                 (photo.path.empty() ? "" : photo.path.string() + ": ") + warning);
        return true;
    } catch (const Error& error) {
        result.error = ItemError{error.code(), error.what()};
    } catch (const std::bad_alloc&) {
        result.error = ItemError{ErrorCode::out_of_memory, "out of memory while decoding"};
    } catch (const std::exception& error) {
        result.error = ItemError{ErrorCode::internal, error.what()};
    }
    return false;
}

void Dispatcher::finish(Album& album, size_t index, Result result) {
    std::unique_lock lock(album.mutex);
    album.results[index] = std::move(result);
    if (album.request.on_item)
        album.request.on_item(index, album.results[index]);
    if (--album.remaining > 0)
        return;
    lock.unlock();
    album.on_done(std::move(album.results));
}

EngineStats Dispatcher::stats() const {
    std::lock_guard lock(stats_mutex_);
    return stats_;
}

} // namespace yeoul

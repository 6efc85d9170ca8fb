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

} // namespace

struct Dispatcher::Album {
    Request request;
    OnDone on_done;
    Clock::time_point submitted = Clock::now();
    std::mutex mutex;            // on_item is called by one thread at a time
    std::vector<Result> results; // one writer each, until it is finished
    size_t remaining = 0;
};

Dispatcher::Dispatcher(std::vector<std::unique_ptr<Lane>> lanes, loader::Preprocessor preprocessor,
                       loader::DecodeOptions decode, int dim, int threads,
                       std::function<void(LogLevel, std::string_view)> log)
    : lanes_(std::move(lanes)), preprocessor_(std::move(preprocessor)), decode_(decode), dim_(dim),
      log_(std::move(log)), pool_(threads) {
    try {
        for (const std::unique_ptr<Lane>& lane : lanes_)
            threads_.emplace_back([this, &lane] { serve(*lane); });
    } catch (...) { // the system gives no more threads
        stop();
        throw;
    }
}

Dispatcher::~Dispatcher() {
    stop();
}

void Dispatcher::stop() {
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
    std::vector<char> prepared(lane.capacity());
    std::vector<int> ready;
    ready.reserve(lane.capacity());
    for (;;) {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stopping_ || !chunks_.empty(); });
        if (chunks_.empty())
            return;
        const Chunk chunk = std::move(chunks_.front());
        chunks_.pop_front();
        lock.unlock();

        prepare(lane, chunk, prepared);
        ready.clear();
        for (size_t i = chunk.begin; i < chunk.end; ++i)
            if (prepared[i - chunk.begin])
                ready.push_back(static_cast<int>(i - chunk.begin));
        compute(lane, chunk, ready);
        for (size_t i = chunk.begin; i < chunk.end; ++i)
            finish(*chunk.album, i);
    }
}

void Dispatcher::prepare(Lane& lane, const Chunk& chunk, std::vector<char>& prepared) {
    Album& album = *chunk.album;
    pool_.for_each(static_cast<int>(chunk.end - chunk.begin), [&](int i) {
        Result& result = album.results[chunk.begin + i];
        prepared[i] = false;
        if (stopping_)
            result.error = ItemError{ErrorCode::cancelled, "the engine is closing"};
        else if (album.request.stop.stop_requested())
            result.error = ItemError{ErrorCode::cancelled, "the caller gave up"};
        else
            prepared[i] = prepare(album.request.photos[chunk.begin + i], lane.staging(i), result);
    });
}

void Dispatcher::compute(Lane& lane, const Chunk& chunk, const std::vector<int>& ready) {
    Album& album = *chunk.album;
    const auto fail_all = [&](ErrorCode code, const char* message) {
        for (int i : ready) {
            Result& result = album.results[chunk.begin + i];
            result.embedding.clear();
            result.error = ItemError{code, message};
        }
    };
    try {
        const std::vector<Lane::Row>& rows = lane.run(ready);
        for (size_t i = 0; i < ready.size(); ++i) {
            const Lane::Row& row = rows[i];
            Result& result = album.results[chunk.begin + ready[i]];
            result.batch = row.batch;
            result.times.compute_ms = row.compute_ms;
            if (!std::isfinite(row.norm)) {
                result.error = ItemError{ErrorCode::non_finite,
                                         "the vector is not finite: the model's weights "
                                         "are damaged or too large for this precision"};
                continue;
            }
            result.embedding.assign(row.embedding, row.embedding + dim_);
            if (album.request.normalize)
                for (float& value : result.embedding)
                    value /= std::max(row.norm, 1e-12f); // as torch.nn.functional.normalize
        }
        std::lock_guard lock(stats_mutex_);
        for (size_t i = 0; i < rows.size(); i += rows[i].batch) {
            ++stats_.batches;
            stats_.compute_seconds += rows[i].compute_ms / 1e3;
        }
    } catch (const Error& error) {
        fail_all(error.code(), error.what());
    } catch (const std::bad_alloc&) {
        fail_all(ErrorCode::out_of_memory, "out of memory");
    } catch (const std::exception& error) {
        fail_all(ErrorCode::internal, error.what());
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
        result.error = ItemError{ErrorCode::out_of_memory, "out of memory"};
    } catch (const std::exception& error) {
        result.error = ItemError{ErrorCode::internal, error.what()};
    }
    return false;
}

void Dispatcher::finish(Album& album, size_t index) {
    Result& result = album.results[index];
    StageTimes& times = result.times;
    const double decode_ms = times.read_ms + times.decode_ms + times.preprocess_ms;
    times.total_ms = milliseconds(Clock::now() - album.submitted);
    times.queue_ms = std::max(0.0, times.total_ms - decode_ms - times.compute_ms);
    {
        std::lock_guard lock(stats_mutex_);
        ++stats_.photos;
        stats_.failed += result.error.has_value();
        stats_.decode_seconds += decode_ms / 1e3;
    }
    std::unique_lock lock(album.mutex);
    if (album.request.on_item)
        album.request.on_item(index, result);
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

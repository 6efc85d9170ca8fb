// Requests in, batches out: cuts requests into chunks of one batch and hands them, first come first
// served, to a thread per lane, which decodes the chunk on the pool, computes it and answers.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <yeoul/engine.h>

#include "engine/batching/worker_pool.h"
#include "engine/lane.h"
#include "loader/image.h"
#include "loader/preprocessor.h"

namespace yeoul {

class Dispatcher {
public:
    using OnDone = std::function<void(std::vector<Result>)>;

    Dispatcher(std::vector<std::unique_ptr<Lane>> lanes, loader::Preprocessor preprocessor,
               loader::DecodeOptions decode, int dim, int threads,
               std::function<void(LogLevel, std::string_view)> log);
    /// Answers what waits with `cancelled` and finishes what runs.
    ~Dispatcher();

    /// Owns the request from here on; `on_done` is called exactly once.
    void submit(Request request, OnDone on_done);

    EngineStats stats() const;

private:
    struct Album; // a request on its way
    struct Chunk {
        std::shared_ptr<Album> album;
        size_t begin, end;
    };
    void serve(Lane& lane);
    void stop();
    void prepare(Lane& lane, const Chunk& chunk, std::vector<char>& prepared);
    bool prepare(const Photo& photo, uint8_t* staging, Result& result) const;
    void compute(Lane& lane, const Chunk& chunk, const std::vector<int>& ready);
    void finish(Album& album, size_t index);

    std::vector<std::unique_ptr<Lane>> lanes_;
    loader::Preprocessor preprocessor_;
    loader::DecodeOptions decode_;
    int dim_;
    std::function<void(LogLevel, std::string_view)> log_;

    mutable std::mutex stats_mutex_;
    EngineStats stats_;

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Chunk> chunks_;
    std::atomic<bool> stopping_ = false;
    WorkerPool pool_;
    std::vector<std::thread> threads_;
};

} // namespace yeoul

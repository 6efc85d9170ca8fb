// Threads and callbacks round the policy: requests in, one result per photo out.
//
//   submit()            any thread      asks the policy to admit
//   scheduler thread    one             fetches decisions and carries them out
//   decoding threads    one per worker of the policy
//   stream threads      one per stream: waits for batches, answers their photos
//
// One mutex guards the policy and what belongs to it. It is held for bookkeeping only: never while
// a photo is decoded, the device is called, or a callback runs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <yeoul/engine.h>

#include "engine/batching/policy.h"
#include "engine/batching/stages.h"

namespace yeoul {

class Scheduler {
public:
    using OnDone = std::function<void(std::vector<Result>)>;
    struct Options {
        batching::PolicyConfig policy;
        batching::CostTable table;
        int dim = 0; // of the vectors
        std::function<void(LogLevel, std::string_view)> log;
    };

    Scheduler(Stages& stages, Options options);
    /// Answers what waits with `cancelled` and finishes what runs.
    ~Scheduler();

    /// Owns the request from here on; `on_done` is called exactly once, from another thread unless
    /// the request is empty.
    void submit(Request request, OnDone on_done);

    /// False once the device is lost: from then on everything is answered with `device_lost`.
    bool ready() const { return !lost_; }
    EngineStats stats() const;

private:
    struct Album;
    struct Item { // a photo on its way
        Album* album = nullptr;
        size_t index = 0; // in the album
        batching::ItemId id = 0;
        int slot = -1;
    };
    struct Batch { // on a stream
        int bucket = 0;
        std::vector<Item*> items;
        std::optional<ItemError> error; // it could not be launched
    };
    struct StreamState {
        std::deque<Batch> batches; // in flight, the oldest first
        std::condition_variable changed;
    };
    struct Refusal {
        std::shared_ptr<Album> album;
        ItemError error;
    };
    using Lock = std::unique_lock<std::mutex>;

    void start_threads();
    void stop() noexcept;
    void schedule();
    bool refuse_next(Lock& lock);
    void start_decode(Item& item);
    void launch(const batching::Decision& decision, Lock& lock);
    void answer(const batching::Decision& decision, Lock& lock);

    void decode();
    std::optional<ItemError> prepare(Item& item);
    void run_stream(int stream);
    void answer_batch(const Batch& batch, const BatchOutput& output);

    bool admit(const std::shared_ptr<Album>& album, ItemError& refusal);
    void cancel(Album& album);
    void lose(const std::string& message);
    void free_slot(Item& item);
    void finish(Item& item, std::optional<ItemError> error);

    Stages& stages_;
    int dim_;
    std::function<void(LogLevel, std::string_view)> log_;
    std::atomic<bool> lost_ = false;

    mutable std::mutex mutex_; // guards what follows
    batching::Policy policy_;
    std::vector<int> free_slots_;
    std::deque<Item*> to_decode_;
    std::deque<Refusal> refused_;
    std::vector<std::unique_ptr<StreamState>> streams_;
    std::vector<int> launch_slots_; // of the scheduler thread
    std::string lost_message_;
    bool closing_ = false, finished_ = false;
    std::condition_variable changed_;   // something for the scheduler thread
    std::condition_variable decodable_; // something for a decoding thread

    mutable std::mutex stats_mutex_;
    EngineStats stats_;

    std::vector<std::thread> threads_;
};

} // namespace yeoul

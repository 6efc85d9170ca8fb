// Threads and callbacks round the policy: requests in, one result per photo out.
//
//   submit()            any thread      asks the policy to admit
//   scheduler thread    one             wakes when time brings a decision, answers what is refused
//                                       and what the policy drops
//   decoding threads    one per worker of the policy
//   stream threads      one per stream: waits for batches, answers their photos
//
// Whoever brings an event fetches the decisions that follow and carries them out, one thread at a
// time, so that a photo wakes only the thread that decodes it and the one that waits for its batch.
//
// One mutex guards the policy and what belongs to it. It is held for bookkeeping only: never while
// a photo is decoded, the device is called, or a callback runs.
//
// submit() takes the memory that a request needs here, or throws. After it only vectors, tags and
// messages are allocated: a photo that there is no memory for is answered with `out_of_memory`.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
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
    /// the request is empty. Throws `Error`, code `out_of_memory`: then nothing of it is kept and
    /// `on_done` is not called. What callbacks throw is logged.
    void submit(Request request, OnDone on_done);

    /// False once the device is lost: from then on everything is answered with `device_lost`.
    bool ready() const { return !lost_; }
    /// The device is lost, says somebody who uses it too. From any thread.
    void lose(const std::string& message);
    EngineStats stats() const;

private:
    struct Album;
    struct Item { // a photo on its way
        Album* album = nullptr;
        size_t index = 0; // in the album
        batching::ItemId id = 0;
        int slot = -1;
        Item* next_dropped = nullptr; // the policy's answer is owed to it and to these
        ErrorCode dropped = ErrorCode::cancelled;
    };
    struct Batch { // on a stream
        int bucket = 0;
        std::vector<Item*> items;
        std::optional<ItemError> error; // it could not be launched
    };
    /// Batches swap places, so that their memory is used again.
    struct StreamState {
        std::array<Batch, 2> batches; // in flight, the oldest first
        int launched = 0;
        Batch answering; // of the stream's thread
        std::condition_variable changed;
    };
    struct Refusal {
        std::shared_ptr<Album> album;
        ItemError error;
    };
    using Lock = std::unique_lock<std::mutex>;

    static void acquire(Lock& lock);
    Lock locked() const;

    Batch empty_batch() const;
    void start_threads();
    void stop() noexcept;
    void take(Request request, OnDone on_done);

    static Item& item_of(const batching::Decision::Item& item);
    batching::Decision carry_out_on_host();
    void act(Lock& lock);
    void act_for_caller();
    void rest_until(int64_t until_ns);
    void start_decode(Item& item);
    void take_batch(const batching::Decision& decision);
    void launch(int stream, Lock& lock);
    void drop(const batching::Decision& decision);

    void schedule();
    bool answer_dropped(Lock& lock);
    bool refuse_next(Lock& lock);

    void decode();
    std::optional<ItemError> prepare(Item& item);
    void run_stream(int stream);
    void answer_batch(const Batch& batch, const BatchOutput& output);
    void fill(Item& item, const BatchOutput& output, size_t row) const;

    bool admit(const std::shared_ptr<Album>& album, ItemError& refusal);
    void cancel(Album& album);
    void call(const std::function<void()>& callback) const noexcept;
    void free_slot(Item& item);
    void finish(Item& item, std::optional<ItemError> error);

    Stages& stages_;
    int dim_;
    std::function<void(LogLevel, std::string_view)> log_;
    std::atomic<bool> lost_ = false;

    mutable std::mutex mutex_; // guards what follows
    batching::Policy policy_;
    std::vector<int> free_slots_;
    std::vector<Item*> to_decode_; // the oldest first, at most one per decoding thread
    std::list<Refusal> refused_;
    std::vector<std::unique_ptr<StreamState>> streams_;
    bool acting_ = false;     // somebody fetches decisions
    std::optional<int> owed_; // the stream of a batch that a caller took
    Item* dropped_ = nullptr; // the first of those to be answered
    Item* last_dropped_ = nullptr;
    int64_t until_ns_ = 0;          // when time brings the next decision
    int64_t sleeping_until_ns_ = 0; // the scheduler's thread; 0: it is awake
    std::vector<int> launch_slots_; // of who acts, as is what follows
    Batch launching_;
    std::string lost_message_;
    bool closing_ = false, finished_ = false;
    std::condition_variable changed_;   // something for the scheduler thread
    std::condition_variable decodable_; // something for a decoding thread

    mutable std::mutex stats_mutex_;
    EngineStats stats_;

    std::vector<std::thread> threads_;
};

} // namespace yeoul

// A stream of the CPU backend: one worker thread that runs a first-in, first-out queue.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <yeoul/types.h>

struct dnnl_stream;

namespace yeoul::cpu {

/// A piece of work; it gets the oneDNN stream of the worker that runs it.
using Task = std::function<void(dnnl_stream*)>;

/// What a capture collects.
struct Recording {
    std::vector<Task> tasks;
};

/// The first exception of a stream's work, kept until somebody has been told.
class Failure {
public:
    void keep(std::exception_ptr exception);
    std::exception_ptr pending() const;
    std::exception_ptr take();
    /// Forgets `told` if it is what is kept.
    void forget(const std::exception_ptr& told);

private:
    mutable std::mutex mutex_;
    std::exception_ptr first_;
};

class WorkerStream {
public:
    /// Math on this stream runs on `math` and uses `threads` threads.
    WorkerStream(int threads, std::shared_ptr<dnnl_stream> math);
    /// Finishes what is enqueued; drops a capture.
    ~WorkerStream();
    WorkerStream(const WorkerStream&) = delete;
    WorkerStream& operator=(const WorkerStream&) = delete;

    /// Runs `task` after everything enqueued before it, or records it during a capture. Work behind
    /// a task that threw is dropped until `synchronize` has rethrown the exception.
    void enqueue(Task task);
    /// As `enqueue`, and runs even behind a failure. Not for captures.
    void enqueue_always(Task task);

    /// Waits for everything enqueued so far. Throws the first exception of the work, or
    /// `invalid_argument` during a capture.
    void synchronize();

    void begin_capture();
    std::shared_ptr<Recording> end_capture();
    void abandon_capture() noexcept;
    /// The capture in progress, or null.
    std::shared_ptr<Recording> recording() const;

    const std::shared_ptr<Failure>& failure() const { return failure_; }

private:
    struct Entry {
        Task task;
        bool always;
    };
    void push(Entry entry);
    void run();
    void run(const Entry& entry);

    const int threads_;
    const std::shared_ptr<dnnl_stream> math_;
    const std::shared_ptr<Failure> failure_ = std::make_shared<Failure>();
    mutable std::mutex mutex_; // guards what follows
    std::condition_variable work_, progress_;
    std::deque<Entry> queue_;
    uint64_t enqueued_ = 0, finished_ = 0;
    bool stop_ = false;
    std::shared_ptr<Recording> recording_;
    std::thread worker_; // last: it uses all of the above
};

inline WorkerStream& worker(StreamRef stream) {
    return *static_cast<WorkerStream*>(stream.handle());
}

} // namespace yeoul::cpu

// A thread for what waits for the device: no thread of the transport or of the engine may.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace yeoul::serve {

/// Runs jobs one after the other, in the order in which they came.
class JobThread {
public:
    JobThread();
    ~JobThread();
    JobThread(const JobThread&) = delete;
    JobThread& operator=(const JobThread&) = delete;

    /// After `finish` it is dropped. What `job` throws is its own loss: a responder in it tells.
    void run(std::function<void()> job);
    /// Returns when every job that was given is done. May be called again.
    void finish();

private:
    void work();
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> jobs_;
    bool finishing_ = false;
    std::thread thread_; // last: it uses the others
};

} // namespace yeoul::serve

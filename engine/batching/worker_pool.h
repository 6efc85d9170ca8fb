// Host threads for decoding.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace yeoul {

class WorkerPool {
public:
    explicit WorkerPool(int threads);
    ~WorkerPool();

    /// Calls `work(i)` for i in [0, count) on the pool's threads and returns when all are done.
    /// Several threads may call it at once; items are taken in order of arrival. `work` must not
    /// throw.
    void for_each(int count, const std::function<void(int)>& work);

    int threads() const { return static_cast<int>(threads_.size()); }

private:
    struct Job {
        const std::function<void(int)>* work;
        int count;
        int next = 0;      // under mutex_
        int remaining = 0; // under mutex_
        std::condition_variable done;
    };
    void serve();
    void stop();

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Job*> jobs_; // owned by their callers, which wait
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

} // namespace yeoul

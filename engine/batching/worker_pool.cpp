#include "engine/batching/worker_pool.h"

namespace yeoul {

WorkerPool::WorkerPool(int threads) {
    try {
        for (int i = 0; i < threads; ++i)
            threads_.emplace_back([this] { serve(); });
    } catch (...) { // the system gives no more threads
        stop();
        throw;
    }
}

WorkerPool::~WorkerPool() {
    stop();
}

void WorkerPool::stop() {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_)
        thread.join();
}

void WorkerPool::for_each(int count, const std::function<void(int)>& work) {
    if (count <= 0)
        return;
    Job job{.work = &work, .count = count, .remaining = count, .done = {}};
    std::unique_lock lock(mutex_);
    jobs_.push_back(&job);
    wake_.notify_all();
    job.done.wait(lock, [&] { return job.remaining == 0; });
}

void WorkerPool::serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
        if (jobs_.empty())
            return;
        Job& job = *jobs_.front();
        const int i = job.next++;
        if (job.next == job.count)
            jobs_.pop_front();
        lock.unlock();
        (*job.work)(i);
        lock.lock();
        // Notified under the lock: the job lives on its caller's stack and is gone after this.
        if (--job.remaining == 0)
            job.done.notify_one();
    }
}

} // namespace yeoul

#include "apps/serve/service/job_thread.h"

namespace yeoul::serve {

JobThread::JobThread() : thread_([this] { work(); }) {}

JobThread::~JobThread() {
    finish();
}

void JobThread::run(std::function<void()> job) {
    {
        const std::lock_guard lock(mutex_);
        if (finishing_)
            return;
        jobs_.push_back(std::move(job));
    }
    changed_.notify_one();
}

void JobThread::finish() {
    {
        const std::lock_guard lock(mutex_);
        finishing_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable())
        thread_.join();
}

void JobThread::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return finishing_ || !jobs_.empty(); });
        if (jobs_.empty())
            return;
        std::function<void()> job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        try {
            job();
        } catch (...) { // its responder tells when it goes
        }
        job = nullptr; // what it holds goes before the next one waits
        lock.lock();
    }
}

} // namespace yeoul::serve

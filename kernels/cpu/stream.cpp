#include "kernels/cpu/stream.h"

#include <utility>

#include <yeoul/error.h>

#include "kernels/cpu/threads.h"

namespace yeoul::cpu {

void Failure::keep(std::exception_ptr exception) {
    std::lock_guard lock(mutex_);
    if (!first_)
        first_ = std::move(exception);
}

std::exception_ptr Failure::pending() const {
    std::lock_guard lock(mutex_);
    return first_;
}

std::exception_ptr Failure::take() {
    std::lock_guard lock(mutex_);
    return std::exchange(first_, nullptr);
}

void Failure::forget(const std::exception_ptr& told) {
    std::lock_guard lock(mutex_);
    if (first_ == told)
        first_ = nullptr;
}

WorkerStream::WorkerStream(int threads, std::shared_ptr<dnnl_stream> math)
    : threads_(threads), math_(std::move(math)), worker_([this] { run(); }) {}

WorkerStream::~WorkerStream() {
    {
        std::lock_guard lock(mutex_);
        stop_ = true;
    }
    work_.notify_one();
    worker_.join();
}

void WorkerStream::enqueue(Task task) {
    {
        std::lock_guard lock(mutex_);
        if (recording_) {
            recording_->tasks.push_back(std::move(task));
            return;
        }
    }
    push({std::move(task), false});
}

void WorkerStream::enqueue_always(Task task) {
    push({std::move(task), true});
}

void WorkerStream::push(Entry entry) {
    {
        std::lock_guard lock(mutex_);
        queue_.push_back(std::move(entry));
        ++enqueued_;
    }
    work_.notify_one();
}

void WorkerStream::synchronize() {
    {
        std::unique_lock lock(mutex_);
        YEOUL_REQUIRE(!recording_,
                      "synchronize: the stream is capturing; call end_capture or abandon_capture");
        const uint64_t target = enqueued_;
        progress_.wait(lock, [&] { return finished_ >= target; });
    }
    if (std::exception_ptr exception = failure_->take())
        std::rethrow_exception(exception);
}

void WorkerStream::begin_capture() {
    std::lock_guard lock(mutex_);
    YEOUL_REQUIRE(!recording_, "begin_capture: the stream is capturing already");
    recording_ = std::make_shared<Recording>();
}

std::shared_ptr<Recording> WorkerStream::end_capture() {
    std::lock_guard lock(mutex_);
    YEOUL_REQUIRE(recording_, "end_capture: the stream is not capturing; call begin_capture first");
    return std::exchange(recording_, nullptr);
}

void WorkerStream::abandon_capture() noexcept {
    std::lock_guard lock(mutex_);
    recording_ = nullptr;
}

std::shared_ptr<Recording> WorkerStream::recording() const {
    std::lock_guard lock(mutex_);
    return recording_;
}

void WorkerStream::run() {
    set_math_threads(threads_);
    std::unique_lock lock(mutex_);
    for (;;) {
        work_.wait(lock, [&] { return stop_ || !queue_.empty(); });
        if (queue_.empty())
            return;
        {
            const Entry entry = std::move(queue_.front());
            queue_.pop_front();
            lock.unlock();
            run(entry);
        }
        lock.lock();
        ++finished_;
        progress_.notify_all();
    }
}

void WorkerStream::run(const Entry& entry) {
    if (!entry.always && failure_->pending())
        return;
    try {
        entry.task(math_.get());
    } catch (...) {
        failure_->keep(std::current_exception());
    }
}

} // namespace yeoul::cpu

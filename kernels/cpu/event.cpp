#include "kernels/cpu/event.h"

#include <utility>

namespace yeoul::cpu {

void Mark::reach() {
    {
        std::lock_guard lock(mutex_);
        reached_ = true;
        time_ = std::chrono::steady_clock::now();
        exception_ = failure_->pending();
    }
    reached_condition_.notify_all();
}

bool Mark::reached() const {
    std::lock_guard lock(mutex_);
    return reached_;
}

void Mark::wait() const {
    std::unique_lock lock(mutex_);
    reached_condition_.wait(lock, [&] { return reached_; });
}

void Mark::wait_and_rethrow() const {
    wait();
    if (exception_) {
        failure_->forget(exception_);
        std::rethrow_exception(exception_);
    }
}

void Mark::wait_and_inherit() const {
    wait();
    if (exception_)
        std::rethrow_exception(exception_);
}

std::chrono::steady_clock::time_point Mark::time() const {
    std::lock_guard lock(mutex_);
    return time_;
}

void HostEvent::record(WorkerStream& stream) {
    State next;
    if (auto recording = stream.recording())
        next.captured_in = std::move(recording);
    else
        next.mark = std::make_shared<Mark>(stream.failure());
    const std::shared_ptr<Mark> mark = next.mark;
    {
        std::lock_guard lock(mutex_);
        state_ = std::move(next);
    }
    if (mark)
        stream.enqueue_always([mark](dnnl_stream*) { mark->reach(); });
}

void HostEvent::wait(WorkerStream& stream) const {
    const State last = state();
    const auto recording = stream.recording();
    if (last.captured_in) {
        // Within one captured stream the order is given.
        YEOUL_REQUIRE(last.captured_in == recording,
                      "wait: the event was last recorded in another capture; record it again");
        return;
    }
    if (!last.mark)
        return;
    YEOUL_REQUIRE(!recording, "wait: the stream is capturing and the event was recorded outside "
                              "the capture; wait before begin_capture");
    stream.enqueue([mark = last.mark](dnnl_stream*) { mark->wait_and_inherit(); });
}

void HostEvent::synchronize() const {
    if (const auto last = mark("synchronize"))
        last->wait_and_rethrow();
}

bool HostEvent::complete() const {
    const auto last = mark("complete");
    return !last || last->reached();
}

std::shared_ptr<const Mark> HostEvent::completed_mark(const char* caller) const {
    auto last = mark(caller);
    YEOUL_REQUIRE(last, caller << ": an event was never recorded");
    YEOUL_REQUIRE(last->reached(), caller << ": an event is not complete; synchronize it first");
    return last;
}

HostEvent::State HostEvent::state() const {
    std::lock_guard lock(mutex_);
    return state_;
}

std::shared_ptr<const Mark> HostEvent::mark(const char* caller) const {
    const State last = state();
    YEOUL_REQUIRE(!last.captured_in,
                  caller << ": the event was last recorded in a capture; record it outside one");
    return last.mark;
}

} // namespace yeoul::cpu

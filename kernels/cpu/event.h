// Events of the CPU backend, with CUDA's meaning: a record marks a place in a stream, a wait is for
// the last record made before it, and an event may be recorded again or destroyed while work that
// names it is pending.
#pragma once

#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>

#include "kernels/cpu/stream.h"
#include "kernels/device.h"

namespace yeoul::cpu {

/// One record: reached when the stream has come to it.
class Mark {
public:
    explicit Mark(std::shared_ptr<Failure> failure) : failure_(std::move(failure)) {}

    /// Called by the stream's worker, once.
    void reach();
    bool reached() const;
    void wait() const;
    /// Waits, then throws the failure that the stream had at this mark, if any, and counts the
    /// stream's as told.
    void wait_and_rethrow() const;
    /// Waits, then throws that failure, so that a second stream inherits it.
    void wait_and_inherit() const;
    std::chrono::steady_clock::time_point time() const;

private:
    const std::shared_ptr<Failure> failure_; // of the stream
    mutable std::mutex mutex_;               // guards what follows
    mutable std::condition_variable reached_condition_;
    bool reached_ = false;
    std::chrono::steady_clock::time_point time_;
    std::exception_ptr exception_;
};

class HostEvent {
public:
    void record(WorkerStream& stream);
    void wait(WorkerStream& stream) const;
    void synchronize() const;
    bool complete() const;
    /// The last record; throws `invalid_argument` unless it was made outside a capture and reached.
    std::shared_ptr<const Mark> completed_mark(const char* caller) const;

private:
    struct State {
        std::shared_ptr<Mark> mark;                   // null until recorded
        std::shared_ptr<const Recording> captured_in; // when the last record was in a capture
    };
    State state() const;
    /// The last record, or null; throws `invalid_argument` if it was made in a capture.
    std::shared_ptr<const Mark> mark(const char* caller) const;

    mutable std::mutex mutex_;
    State state_;
};

inline HostEvent& host_event(EventRef event) {
    return *static_cast<HostEvent*>(event.handle());
}

} // namespace yeoul::cpu

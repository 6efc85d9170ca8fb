// SIGINT and SIGTERM as an orderly stop.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace yeoul::cli {

/// While it lives, the first SIGINT or SIGTERM calls `on_stop` from a thread of its own and is
/// remembered; the second ends the process at once. Make it before any other thread, so that all
/// inherit the blocked signals. A signal that the parent set to be ignored stays ignored.
class StopSignals {
public:
    explicit StopSignals(std::function<void()> on_stop);
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    /// The signal that came, or 0.
    int caught() const { return caught_; }

private:
    void wait();
    std::function<void()> on_stop_;
    std::atomic<int> caught_ = 0;
    std::atomic<bool> closing_ = false;
    std::thread thread_;
};

} // namespace yeoul::cli

// What the system and a GPU's driver say of a process that serves, beside what the engine counts
// itself.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "apps/bench/driver_watch.h"

namespace yeoul::bench {

/// For one thread. In this order: `count_driver_calls` before an engine is opened,
/// `watch_free_bytes` and `engine_is_ready` after it, `watch` while it serves, `engine_is_idle`.
class SoakWitness {
public:
    using Clock = std::chrono::steady_clock;

    /// By the first of `libraries` that can. Throws `Error`, code `device`, when none can.
    void count_driver_calls(const std::vector<std::string>& libraries);
    void forget_driver_calls() { calls_.reset(); }
    /// Of a GPU, all processes together. It may throw `Error`: the watch of it ends then.
    void watch_free_bytes(std::function<size_t()> free_bytes);
    void engine_is_ready();
    /// Until `end`.
    void watch(Clock::time_point start, Clock::time_point end);
    void engine_is_idle();

    std::set<std::string> broken_promises() const;
    std::vector<std::pair<std::string, double>> values() const;

private:
    void look_at_free_bytes();

    double early_mib_ = 0, late_mib_ = 0; // most resident in the second and last quarter
    std::function<size_t()> free_bytes_;
    size_t ready_free_ = 0, least_free_ = 0;
    std::string free_bytes_failed_;
    std::unique_ptr<DriverWatch> calls_; // null: nobody counts them
    DriverWatch::Seen opening_, serving_;
};

} // namespace yeoul::bench

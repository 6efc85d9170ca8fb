#include "apps/bench/empty_stages.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <thread>

#include <sys/prctl.h>

namespace yeoul::bench {
namespace {

/// So long before a pass ends its thread is awake: a device is never late.
constexpr int64_t kWakeNs = 150'000;

int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

// Linux lets a sleep end 50 us late unless the thread asks for less; a virtual machine adds to it.
void sleep_until(int64_t at_ns) {
    ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    const timespec at{.tv_sec = static_cast<time_t>(at_ns / 1'000'000'000),
                      .tv_nsec = static_cast<long>(at_ns % 1'000'000'000)};
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) == EINTR)
        continue;
}

} // namespace

EmptyStages::EmptyStages(const batching::CostTable& table, int streams, int dim, int64_t decode_ns,
                         bool takes_time)
    : table_(table), decode_ns_(decode_ns), takes_time_(takes_time),
      embeds_(static_cast<size_t>(table.largest()) * dim, 1.0f),
      norms_(static_cast<size_t>(table.largest()), 1.0f) {
    for (int i = 0; i < streams; ++i)
        lanes_.push_back(std::make_unique<Lane>());
}

std::string EmptyStages::prepare(const Photo&, int, Result&) {
    if (decode_ns_ > 0)
        sleep_until(now_ns() + decode_ns_);
    return {};
}

void EmptyStages::launch(int stream, int bucket, std::span<const int>, bool) {
    if (!takes_time_)
        return;
    Lane& lane = *lanes_[stream];
    std::lock_guard lock(lane.mutex);
    lane.free_ns = std::max(lane.free_ns, now_ns()) + table_.ns(bucket);
    lane.ends_ns.push_back(lane.free_ns);
}

BatchOutput EmptyStages::wait(int stream) {
    if (takes_time_) {
        Lane& lane = *lanes_[stream];
        int64_t end = 0;
        {
            std::lock_guard lock(lane.mutex);
            end = lane.ends_ns.front();
            lane.ends_ns.pop_front();
        }
        sleep_until(end - kWakeNs);
        while (now_ns() < end)
            std::this_thread::yield();
    }
    return {embeds_.data(), norms_.data(), 0};
}

} // namespace yeoul::bench

#include "apps/serve/service/slow_log.h"

#include <utility>

namespace yeoul::serve {
namespace {

constexpr auto kInterval = std::chrono::seconds(1);

} // namespace

std::optional<int64_t> SlowLog::admit(Clock::time_point now, double ms) {
    if (ms < static_cast<double>(threshold_.count()))
        return std::nullopt;
    const std::lock_guard lock(mutex_);
    if (last_ && now - *last_ < kInterval) {
        ++kept_back_;
        return std::nullopt;
    }
    last_ = now;
    return std::exchange(kept_back_, 0);
}

} // namespace yeoul::serve

// Says which requests were slow, without flooding the log when all are.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

#include "apps/serve/http/message.h"

namespace yeoul::serve {

/// Lets one slow request a second through, with the number of those that were kept back since.
class SlowLog {
public:
    explicit SlowLog(std::chrono::milliseconds threshold) : threshold_(threshold) {}

    /// The slow requests not told before this one; empty when this one is not to be told.
    std::optional<int64_t> admit(Clock::time_point now, double ms);

private:
    const std::chrono::milliseconds threshold_;
    std::mutex mutex_;
    std::optional<Clock::time_point> last_;
    int64_t kept_back_ = 0;
};

} // namespace yeoul::serve

// The progress line of long work. Time is an argument, so tests own the clock.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace yeoul::cli {

struct ProgressCounts {
    size_t done = 0, total = 0, errors = 0;
    double decode_seconds = 0;  // summed over `threads`
    double compute_seconds = 0; // summed over `streams`
    int threads = 1, streams = 1;
};

/// "embed  41% [####      ]  412/1,000  39.2 photos/s  decode 71% compute 64%  left 15 s  errors 3"
/// Photos that failed are done, but do not count in photos/s. The shares say how busy the decoding
/// threads and the compute streams are.
std::string progress_line(std::string_view command, const ProgressCounts& counts, double elapsed_s);

/// Says when the line is due: on a terminal five times a second, elsewhere every 10 s.
class Progress {
public:
    /// `command` begins the line.
    Progress(std::string command, bool terminal)
        : command_(std::move(command)), interval_s_(terminal ? 0.2 : 10.0) {}
    /// `elapsed_s` since the work started.
    std::optional<std::string> update(const ProgressCounts& counts, double elapsed_s);

private:
    std::string command_;
    double interval_s_;
    double shown_at_s_ = 0;
};

/// "1,234,567"
std::string grouped(int64_t value);
/// "45 s", "2 min 30 s", "1 h 5 min"
std::string duration(double seconds);

} // namespace yeoul::cli

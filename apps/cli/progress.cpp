#include "apps/cli/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>

namespace yeoul::cli {
namespace {

constexpr int kBar = 10;

int percent(double part, double whole) {
    return whole <= 0 ? 0
                      : static_cast<int>(std::clamp(std::round(100 * part / whole), 0.0, 100.0));
}

} // namespace

std::string grouped(int64_t value) {
    std::string text = std::to_string(value < 0 ? -value : value);
    for (int at = static_cast<int>(text.size()) - 3; at > 0; at -= 3)
        text.insert(static_cast<size_t>(at), ",");
    return value < 0 ? "-" + text : text;
}

std::string duration(double seconds) {
    const auto whole = static_cast<int64_t>(std::max(0.0, std::ceil(seconds)));
    if (whole < 60)
        return std::to_string(whole) + " s";
    if (whole < 3600)
        return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
    return grouped(whole / 3600) + " h " + std::to_string(whole / 60 % 60) + " min";
}

std::string progress_line(std::string_view command, const ProgressCounts& counts,
                          double elapsed_s) {
    const auto per_second = [&](size_t photos) {
        return elapsed_s > 0 ? static_cast<double>(photos) / elapsed_s : 0;
    };
    const double rate = per_second(counts.done);
    const size_t total = std::max<size_t>(counts.total, 1);
    const int filled = static_cast<int>(counts.done * kBar / total);
    char text[160];
    std::snprintf(text, sizeof text, " %3d%% [%s%s]  %s/%s  %.1f photos/s",
                  static_cast<int>(counts.done * 100 / total), std::string(filled, '#').c_str(),
                  std::string(kBar - filled, ' ').c_str(),
                  grouped(static_cast<int64_t>(counts.done)).c_str(),
                  grouped(static_cast<int64_t>(counts.total)).c_str(),
                  per_second(counts.done - std::min(counts.done, counts.errors)));
    std::string line = std::string(command) + text;
    std::snprintf(text, sizeof text, "  decode %d%% compute %d%%",
                  percent(counts.decode_seconds, elapsed_s * counts.threads),
                  percent(counts.compute_seconds, elapsed_s * counts.streams));
    line += text;
    if (rate > 0)
        line += "  left " + duration(static_cast<double>(counts.total - counts.done) / rate);
    return line + "  errors " + grouped(static_cast<int64_t>(counts.errors));
}

std::optional<std::string> Progress::update(const ProgressCounts& counts, double elapsed_s) {
    if (elapsed_s - shown_at_s_ < interval_s_)
        return std::nullopt;
    shown_at_s_ = elapsed_s;
    return progress_line(command_, counts, elapsed_s);
}

} // namespace yeoul::cli

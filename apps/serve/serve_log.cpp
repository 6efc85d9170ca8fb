#include "apps/serve/serve_log.h"

#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>

#include "apps/cli/json_text.h"

namespace yeoul::serve {
namespace {

const char* level_name(LogLevel level) {
    switch (level) {
    case LogLevel::debug:
        return "debug";
    case LogLevel::info:
        return "info";
    case LogLevel::warning:
        return "warning";
    case LogLevel::error:
        return "error";
    }
    return "error";
}

/// RFC 3339 in UTC: "2026-11-21T15:04:05.123Z"
std::string timestamp(std::chrono::system_clock::time_point now) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()) %
                    std::chrono::seconds(1);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char date[32], text[48];
    std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    std::snprintf(text, sizeof text, "%s.%03dZ", date, static_cast<int>(ms.count()));
    return text;
}

} // namespace

bool ServeLog::shows(LogLevel level) const {
    switch (verbosity_) {
    case cli::Verbosity::quiet:
        return level >= LogLevel::warning;
    case cli::Verbosity::normal:
        return level >= LogLevel::info;
    case cli::Verbosity::verbose:
        return true;
    }
    return true;
}

void ServeLog::log(LogLevel level, std::string_view text) {
    if (!json_)
        return console_.log(level, text);
    if (!shows(level))
        return;
    const std::string out = cli::JsonObject()
                                .text("time", timestamp(std::chrono::system_clock::now()))
                                .text("level", level_name(level))
                                .text("message", text)
                                .str() +
                            '\n';
    std::fputs(out.c_str(), stderr); // one call: lines of several threads do not mix
}

} // namespace yeoul::serve

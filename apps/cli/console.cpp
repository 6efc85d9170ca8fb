#include "apps/cli/console.h"

#include <cstdio>
#include <cstdlib>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <unistd.h>

#include "apps/cli/printable.h"

namespace yeoul::cli {
namespace {

spdlog::level::level_enum spdlog_level(LogLevel level) {
    switch (level) {
    case LogLevel::debug:
        return spdlog::level::debug;
    case LogLevel::info:
        return spdlog::level::info;
    case LogLevel::warning:
        return spdlog::level::warn;
    case LogLevel::error:
        return spdlog::level::err;
    }
    return spdlog::level::err;
}

spdlog::level::level_enum threshold(Verbosity verbosity) {
    switch (verbosity) {
    case Verbosity::quiet:
        return spdlog::level::warn;
    case Verbosity::normal:
        return spdlog::level::info;
    case Verbosity::verbose:
        return spdlog::level::debug;
    }
    return spdlog::level::info;
}

} // namespace

class Console::Sink {
public:
    explicit Sink(Verbosity verbosity)
        : logger_("yeoul", std::make_shared<spdlog::sinks::stderr_color_sink_mt>(
                               std::getenv("NO_COLOR") ? spdlog::color_mode::never
                                                       : spdlog::color_mode::automatic)) {
        logger_.set_level(threshold(verbosity));
        logger_.set_pattern(verbosity == Verbosity::verbose ? "[%H:%M:%S.%e] %^%l%$: %v"
                                                            : "%^%l%$: %v");
    }
    bool shows(LogLevel level) const { return logger_.should_log(spdlog_level(level)); }
    void log(LogLevel level, std::string_view text) {
        const std::string shown = printable(text);
        logger_.log(spdlog_level(level), spdlog::string_view_t(shown.data(), shown.size()));
        logger_.flush();
    }

private:
    spdlog::logger logger_;
};

Console::Console(Verbosity verbosity)
    : verbosity_(verbosity), terminal_(::isatty(STDERR_FILENO) == 1),
      sink_(std::make_unique<Sink>(verbosity)) {}

Console::~Console() {
    end_progress();
}

void Console::erase_progress() {
    if (progress_shown_ && terminal_)
        std::fputs("\r\x1b[K", stderr);
    progress_shown_ = false;
}

void Console::log(LogLevel level, std::string_view text) {
    const std::lock_guard lock(mutex_);
    if (!sink_->shows(level))
        return;
    erase_progress();
    sink_->log(level, text);
}

void Console::progress(const std::string& line) {
    const std::lock_guard lock(mutex_);
    if (quiet())
        return;
    erase_progress();
    std::fputs(line.c_str(), stderr);
    if (!terminal_)
        std::fputc('\n', stderr);
    std::fflush(stderr);
    progress_shown_ = true;
}

void Console::end_progress() {
    const std::lock_guard lock(mutex_);
    erase_progress();
    std::fflush(stderr);
}

} // namespace yeoul::cli

// stderr: log lines and the progress line. Results never come here; they go to stdout.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include <yeoul/engine.h>

namespace yeoul::cli {

enum class Verbosity { quiet, normal, verbose };

/// Safe to use from several threads. Without a terminal nothing is coloured or rewritten.
class Console {
public:
    explicit Console(Verbosity verbosity);
    ~Console();
    Console(const Console&) = delete;
    Console& operator=(const Console&) = delete;

    /// Quiet shows warnings and errors; normal also `info`; verbose everything, with the time.
    void log(LogLevel level, std::string_view text);
    void info(std::string_view text) { log(LogLevel::info, text); }
    void warning(std::string_view text) { log(LogLevel::warning, text); }
    void error(std::string_view text) { log(LogLevel::error, text); }

    /// Replaces the progress line on a terminal; elsewhere prints it as a line of its own.
    void progress(const std::string& line);
    /// Takes the progress line away.
    void end_progress();

    bool terminal() const { return terminal_; }
    bool quiet() const { return verbosity_ == Verbosity::quiet; }

private:
    class Sink;
    void erase_progress();
    Verbosity verbosity_;
    bool terminal_;
    std::mutex mutex_;
    bool progress_shown_ = false;
    std::unique_ptr<Sink> sink_;
};

} // namespace yeoul::cli

// The server's log on stderr: text for people or a JSON object a line for collectors.
#pragma once

#include <memory>
#include <string_view>

#include <yeoul/engine.h>

#include "apps/cli/console.h"

namespace yeoul::serve {

/// Safe to use from several threads.
class ServeLog {
public:
    ServeLog(cli::Verbosity verbosity, bool json)
        : console_(verbosity), verbosity_(verbosity), json_(json) {}

    void log(LogLevel level, std::string_view text);
    void info(std::string_view text) { log(LogLevel::info, text); }
    cli::Console& console() { return console_; }

private:
    bool shows(LogLevel level) const;
    cli::Console console_;
    const cli::Verbosity verbosity_;
    const bool json_;
};

} // namespace yeoul::serve

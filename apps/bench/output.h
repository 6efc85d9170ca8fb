// What both commands do with a finished report.
#pragma once

#include <string>

#include "apps/bench/report.h"
#include "apps/cli/command_line.h"

namespace yeoul::bench {

struct OutputFlags {
    std::string format = "md", compare;
    void add(cli::Command& command);
    /// Before the work: throws `Error` when `compare` names no report of `benchmark`.
    void check(const std::string& benchmark) const;
};

/// Prints the report and, when asked, the comparison (on stderr with JSON, so that stdout stays
/// JSON). The exit code.
int print(const Report& report, const OutputFlags& flags);

} // namespace yeoul::bench

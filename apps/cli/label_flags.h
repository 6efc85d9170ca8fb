// The flags that name labels, shared by the programs.
#pragma once

#include <string>

#include <yeoul/engine.h>

#include "apps/cli/command_line.h"

namespace yeoul::cli {

struct LabelFlags {
    std::string labels, file, form = Labels{}.templates.front();

    void add(Command& command);
    bool given() const { return !labels.empty() || !file.empty(); }
    /// Throws `Error`: `invalid_argument` when neither or both are given, `io` for a file that
    /// cannot be read.
    Labels read() const;
};

} // namespace yeoul::cli

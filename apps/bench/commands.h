// The commands of engine-bench. Each is made by the file of its name.
#pragma once

#include "apps/cli/command_line.h"

namespace yeoul::bench {

cli::Command allocator_command();
cli::Command model_command();
cli::Command preprocess_command();
cli::Command scheduler_command();
cli::Command serve_command();
cli::Command simulate_command();
cli::Command soak_command();

} // namespace yeoul::bench

// The commands of engine-run. Each is made by the file of its name.
#pragma once

#include "apps/cli/command_line.h"

namespace yeoul::run {

cli::Command embed_command();
cli::Command tag_command();
cli::Command duplicates_command();
cli::Command verify_command();
cli::Command compare_command();
cli::Command inspect_command();
cli::Command plan_command();
cli::Command synth_command();
cli::Command tune_command();
cli::Command doctor_command();

} // namespace yeoul::run

// The published CLIP image towers, by the name of their checkpoint.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "loader/model_config.h"

namespace yeoul::synth {

std::vector<std::string> architecture_names();

/// Throws `Error`, code `invalid_argument`, naming the nearest known name.
loader::ClipVisionConfig architecture(std::string_view name);

} // namespace yeoul::synth

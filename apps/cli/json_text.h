// JSON as text, for results that are streamed one at a time.
#pragma once

#include <span>
#include <string>

namespace yeoul::cli {

/// "[0.1,-2]": the shortest text that reads back as the same float.
std::string json_array(std::span<const float> values);

/// The shortest text that reads back as the same float.
void append_number(std::string& text, float value);

} // namespace yeoul::cli

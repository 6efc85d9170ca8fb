// "did you mean": the closest known name.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace yeoul::loader {

/// The known names closest to `name` by edit distance, nearest first, at most `count`, leaving out
/// those further than half its length.
std::vector<std::string> nearest_names(std::string_view name, std::span<const std::string> known,
                                       size_t count = 3);

} // namespace yeoul::loader

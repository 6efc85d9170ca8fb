// Where a measurement was taken.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace yeoul::bench {

/// Version, commit, build type, libraries, processor, cores, load.
std::vector<std::pair<std::string, std::string>> environment();

} // namespace yeoul::bench

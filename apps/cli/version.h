// What --version prints.
#pragma once

#include <string>
#include <vector>

namespace yeoul::cli {

/// "engine-run 0.1.0 (oneDNN 2.6.3, libjpeg-turbo 2.1.5, ...)"
std::string version_text(const std::string& program);

/// Name and version of every library that this build computes or decodes with.
std::vector<std::string> library_versions();

} // namespace yeoul::cli

// Where the bundled model is.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace yeoul::cli {

std::filesystem::path program_path();

/// Places where the bundled model may stand for a program at `program`, in the order they are
/// looked at: `share/yeoul/model` of the installation, then `apps/demo/model` of the source tree
/// that the program was built in.
std::vector<std::filesystem::path> bundled_model_places(const std::filesystem::path& program);

/// `given`, or the bundled model when it is empty. Throws `Error`, code `model`, when there is
/// none.
std::filesystem::path model_path(const std::string& given);

} // namespace yeoul::cli

// The folder that a model lies in, and its small text files.
#pragma once

#include <filesystem>
#include <string>

namespace yeoul::loader {

/// Throws `Error`, code `model`, when this is not a directory that can be looked into: missing, a
/// file, no permission.
void require_model_directory(const std::filesystem::path& directory);

/// The text of a small file of a model directory. Throws `Error`, code `model`: missing,
/// unreadable, above 64 MB.
std::string read_text_file(const std::filesystem::path& file);

} // namespace yeoul::loader

// Where the measured tables of a machine are kept: readable text, a file per table.
#pragma once

#include <filesystem>
#include <string>

namespace yeoul {

/// NAME.txt in $YEOUL_CACHE_DIR, else $XDG_CACHE_HOME/yeoul, else ~/.cache/yeoul. Empty where none
/// of them is set.
std::filesystem::path table_path(const std::string& name);

/// The table's text; empty when there is none.
std::string read_table(const std::string& name);

/// Writes it whole or not at all, making the folder. Throws `Error`, code `io`.
void write_table(const std::string& name, const std::string& text);

} // namespace yeoul

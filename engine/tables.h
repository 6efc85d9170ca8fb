// Where the measured tables of a machine are kept: readable text, a file per table.
#pragma once

#include <filesystem>
#include <string>

namespace yeoul {

/// "amd-epyc-7763-64-core-processor": letters and digits stay, the rest is one hyphen each.
std::string file_words(const std::string& name);

/// "gemm-sm_75-tesla-t4": the table that `engine-run tune` writes for such a device.
std::string gemm_table_name(const std::string& isa, const std::string& device_name);

/// NAME.txt in $YEOUL_CACHE_DIR, else $XDG_CACHE_HOME/yeoul, else ~/.cache/yeoul. Empty where none
/// of them is set.
std::filesystem::path table_path(const std::string& name);

/// The table's text; empty when there is none.
std::string read_table(const std::string& name);

/// Writes it whole or not at all, making the folder. Throws `Error`, code `io`.
void write_table(const std::string& name, const std::string& text);

/// Removes those whose name begins so and holds `part`; how many. What cannot be removed stays.
int remove_tables(const std::string& beginning, const std::string& part);

} // namespace yeoul

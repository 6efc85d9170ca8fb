// Where the measured GEMM tables of a machine are kept: readable text, one file per kind of GPU.
#pragma once

#include <filesystem>
#include <string>

namespace yeoul {

/// gemm-sm_75.txt in $YEOUL_CACHE_DIR, else $XDG_CACHE_HOME/yeoul, else ~/.cache/yeoul. Empty where
/// none of them is set.
std::filesystem::path gemm_table_path(const std::string& isa);

/// The table's text; empty when there is none.
std::string read_gemm_table(const std::string& isa);

/// Writes it whole or not at all, making the folder. Throws `Error`, code `io`.
void write_gemm_table(const std::string& isa, const std::string& text);

} // namespace yeoul

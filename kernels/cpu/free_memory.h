// How much memory this process may still take.
#pragma once

#include <cstddef>
#include <filesystem>

namespace yeoul::cpu {

/// Bytes: the kernel's MemAvailable, or less where a control group (version 1 or 2) of this process
/// leaves less. A group's use counts without the file pages that it could drop at once, as
/// Kubernetes counts a working set. `root` holds `proc` and `sys`. SIZE_MAX where nothing is said.
size_t free_memory_bytes(const std::filesystem::path& root = "/");

} // namespace yeoul::cpu

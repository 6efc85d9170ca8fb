#include "kernels/cpu/free_memory.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

namespace yeoul::cpu {
namespace {

namespace fs = std::filesystem;

/// What one version of control groups calls its files.
struct Names {
    const char *limit, *usage, *reclaimable;
};
constexpr Names kVersion1 = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                             "total_inactive_file"};
constexpr Names kVersion2 = {"memory.max", "memory.current", "inactive_file"};

/// Nothing for a file that is not there or says "max".
std::optional<size_t> read_number(const fs::path& file) {
    std::ifstream in(file);
    size_t value = 0;
    return in >> value ? std::optional(value) : std::nullopt;
}

/// The number behind `name` in a file of lines "name number".
std::optional<size_t> read_field(const fs::path& file, const std::string& name) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        std::string word;
        size_t value = 0;
        if (words >> word >> value && word == name)
            return value;
    }
    return {};
}

/// What one group leaves of its limit.
size_t rest_of_group(const fs::path& group, const Names& names) {
    const std::optional<size_t> limit = read_number(group / names.limit);
    if (!limit)
        return SIZE_MAX;
    const size_t usage = read_number(group / names.usage).value_or(0);
    const size_t reclaimable = read_field(group / "memory.stat", names.reclaimable).value_or(0);
    return *limit - std::min(*limit, usage - std::min(usage, reclaimable));
}

/// The least that the group at `path` below `base` and those above it leave. Inside a container the
/// path may be the host's, and only `base` is there.
size_t rest_of_groups(const fs::path& base, const std::string& path, const Names& names) {
    size_t rest = rest_of_group(base, names);
    fs::path group = base;
    for (const fs::path& part : fs::path(path).relative_path()) {
        group /= part;
        rest = std::min(rest, rest_of_group(group, names));
    }
    return rest;
}

bool names_memory(const std::string& controllers) {
    std::istringstream list(controllers);
    for (std::string controller; std::getline(list, controller, ',');)
        if (controller == "memory")
            return true;
    return false;
}

} // namespace

size_t free_memory_bytes(const fs::path& root) {
    size_t rest = SIZE_MAX;
    if (const auto kib = read_field(root / "proc" / "meminfo", "MemAvailable:"))
        rest = *kib << 10;
    const fs::path groups = root / "sys" / "fs" / "cgroup";
    std::ifstream in(root / "proc" / "self" / "cgroup");
    // hierarchy:controllers:path; version 2 names no controllers
    std::string hierarchy, controllers, path;
    while (std::getline(in, hierarchy, ':') && std::getline(in, controllers, ':') &&
           std::getline(in, path)) {
        if (controllers.empty())
            rest = std::min(rest, rest_of_groups(groups, path, kVersion2));
        else if (names_memory(controllers))
            rest = std::min(rest, rest_of_groups(groups / "memory", path, kVersion1));
    }
    return rest;
}

} // namespace yeoul::cpu

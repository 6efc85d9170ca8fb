#include "apps/bench/environment.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <yeoul/engine.h>

#include "apps/cli/table.h"
#include "apps/cli/version.h"
#include "engine/backends.h"

namespace yeoul::bench {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& file) {
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    return line;
}

/// Where git keeps a working tree's HEAD, and where the branches of all working trees are.
struct GitFolders {
    fs::path head, branches;
};
GitFolders git_folders() {
    const fs::path git = fs::path(YEOUL_SOURCE_DIR) / ".git";
    const std::string link = first_line(git); // of a working tree beside the first
    if (!link.starts_with("gitdir: "))
        return {git, git};
    const fs::path own = fs::path(YEOUL_SOURCE_DIR) / link.substr(8);
    return {own, own / first_line(own / "commondir")};
}

/// Of the source tree that the program was built from; git's own files, so that no git is needed.
std::string commit() {
    const GitFolders git = git_folders();
    const std::string head = first_line(git.head / "HEAD");
    if (!head.starts_with("ref: "))
        return head.empty() ? "unknown" : head.substr(0, 12);
    const std::string reference = head.substr(5);
    if (const std::string loose = first_line(git.branches / reference); !loose.empty())
        return loose.substr(0, 12);
    std::ifstream packed(git.branches / "packed-refs");
    for (std::string line; std::getline(packed, line);)
        if (line.ends_with(" " + reference))
            return line.substr(0, 12);
    return "unknown";
}

std::string processor() {
    std::ifstream in("/proc/cpuinfo");
    for (std::string line; std::getline(in, line);)
        if (line.starts_with("model name"))
            return line.substr(line.find(':') + 2);
    return "unknown";
}

} // namespace

std::vector<std::pair<std::string, std::string>> environment() {
    std::string libraries;
    for (const std::string& library : cli::library_versions())
        libraries += (libraries.empty() ? "" : ", ") + library;
    double load[1] = {};
    if (getloadavg(load, 1) != 1)
        load[0] = 0;
    return {{"yeoul", std::string(version())},
            {"commit", commit()},
            {"build", YEOUL_BUILD_TYPE},
            {"libraries", libraries},
            {"cpu", processor()},
            {"cores", std::to_string(usable_cores())},
            {"load", cli::fixed(load[0], 2)}};
}

} // namespace yeoul::bench

#include "apps/cli/version.h"

#include <yeoul/engine.h>

#include "engine/backends.h"
#include "loader/image.h"

namespace yeoul::cli {

std::vector<std::string> library_versions() {
    std::vector<std::string> versions;
    for (const BackendReport& backend : probe_backends())
        versions.insert(versions.end(), backend.libraries.begin(), backend.libraries.end());
    for (std::string& decoder : loader::decoder_versions())
        versions.push_back(std::move(decoder));
    return versions;
}

std::string version_text(const std::string& program) {
    std::string libraries;
    for (const std::string& library : library_versions())
        libraries += (libraries.empty() ? "" : ", ") + library;
    return program + " " + std::string(version()) + " (" + libraries + ")";
}

} // namespace yeoul::cli

#include "apps/cli/model_path.h"

#include <yeoul/error.h>

namespace yeoul::cli {

namespace fs = std::filesystem;

fs::path program_path() {
    std::error_code error;
    return fs::read_symlink("/proc/self/exe", error);
}

std::vector<fs::path> bundled_model_places(const fs::path& program) {
    const fs::path folder = program.parent_path();
    std::vector<fs::path> places = {folder.parent_path() / "share/yeoul/model"};
    // A build folder lies in the source tree: build/cpu/bin is three below its root. Two more for
    // build folders that somebody nests.
    fs::path ancestor = folder;
    for (int level = 0; level < 5 && ancestor.has_relative_path(); ++level) {
        ancestor = ancestor.parent_path();
        places.push_back(ancestor / "apps/demo/model");
    }
    return places;
}

fs::path model_path(const std::string& given) {
    if (!given.empty())
        return given;
    const std::vector<fs::path> places = bundled_model_places(program_path());
    std::error_code error;
    for (const fs::path& place : places)
        if (fs::exists(place / "config.json", error))
            return place;
    throw Error(ErrorCode::model, "no bundled model stands beside the program (looked at '" +
                                      places.front().string() +
                                      "' and in the source tree); name one with --model DIR or "
                                      "YEOUL_MODEL, or make one with 'engine-run synth'");
}

} // namespace yeoul::cli

#include "apps/bench/measured_model.h"

#include <cstdlib>

#include <yeoul/error.h>

#include "apps/cli/model_path.h"
#include "apps/synth/architectures.h"
#include "apps/synth/model_directory.h"
#include "engine/backends.h"

namespace yeoul::bench {

namespace fs = std::filesystem;

MeasuredModel::MeasuredModel(const std::string& directory, const std::string& arch) {
    YEOUL_REQUIRE(directory.empty() || arch.empty(),
                  "--model and --arch exclude each other; give one");
    if (arch.empty()) {
        path_ = cli::model_path(directory);
        const fs::path named = path_.has_filename() ? path_ : path_.parent_path();
        name_ = named.filename().string();
        return;
    }
    const loader::ClipVisionConfig config = synth::architecture(arch);
    std::string place = (fs::temp_directory_path() / "yeoul-bench-XXXXXX").string();
    if (!::mkdtemp(place.data()))
        throw Error(ErrorCode::io, "'" + place + "' cannot be made; set TMPDIR");
    temporary_ = place;
    synth::write_clip_directory(config, {.threads = usable_cores(), .label = arch},
                                temporary_ / arch);
    path_ = temporary_ / arch;
    name_ = arch;
}

MeasuredModel::~MeasuredModel() {
    std::error_code ignored;
    if (!temporary_.empty())
        fs::remove_all(temporary_, ignored);
}

} // namespace yeoul::bench

// engine-run verify: does this machine give the vectors that were stored?
#include <filesystem>
#include <limits>

#include "apps/cli/engine_flags.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/json_text.h"
#include "apps/cli/printable.h"
#include "apps/cli/table.h"
#include "apps/run/commands.h"
#include "apps/run/photo_job.h"
#include "apps/run/vector_statistics.h"

namespace yeoul::run {
namespace {

struct VerifyFlags {
    cli::EngineFlags engine;
    std::vector<std::string> paths;
    std::string reference, photos, format = "table";
    double threshold = 0.9999;
};

std::vector<std::string> paths_of(const VerifyFlags& flags, const Vectors& reference) {
    if (!flags.paths.empty())
        return flags.paths;
    YEOUL_REQUIRE(!reference.paths.empty(),
                  "'" << flags.reference << "' does not say which photos; name them");
    std::vector<std::string> paths;
    for (const std::string& path : reference.paths)
        paths.push_back((std::filesystem::path(flags.photos) / path).string());
    return paths;
}

std::string text_of(const Differences& d, const std::string& worst, const VerifyFlags& flags) {
    if (flags.format == "json")
        return cli::JsonObject()
                   .number("compared", d.compared)
                   .number("skipped", d.skipped)
                   .real("cosine_min", d.least_cosine)
                   .real("cosine_mean", d.mean_cosine)
                   .real("max_abs", d.max_abs)
                   .text("worst", worst)
                   .str() +
               "\n";
    return cli::table({{"what", 0}, {"value", 0}},
                      {{"vectors compared", std::to_string(d.compared)},
                       {"skipped, zero or not finite", std::to_string(d.skipped)},
                       {"cosine, least", cli::fixed(d.least_cosine, 6)},
                       {"cosine, mean", cli::fixed(d.mean_cosine, 6)},
                       {"largest difference", cli::fixed(d.max_abs, 6)},
                       {"farthest off", cli::printable(worst)}});
}

int verify(const VerifyFlags& flags) {
    YEOUL_REQUIRE(!flags.reference.empty(),
                  "verify needs --reference FILE, vectors to compare with (.safetensors or .npy)");
    const Vectors reference = read_vectors(flags.reference);
    const std::vector<std::string> paths = paths_of(flags, reference);
    Vectors seen{.values = {}, .paths = {}, .rows = 0, .dim = reference.dim};
    bool missed = false;
    const int code = run_photos(
        {.command = "verify",
         .engine = flags.engine,
         .paths = paths,
         .prepare =
             [&](Engine& engine) {
                 YEOUL_REQUIRE(engine.info().dim == reference.dim,
                               "the reference has vectors of " << reference.dim
                                                               << " values, the model gives "
                                                               << engine.info().dim);
             },
         .rows =
             [&](const std::vector<Input>& inputs, const Engine&) {
                 YEOUL_REQUIRE(inputs.size() == static_cast<size_t>(reference.rows),
                               "the reference has " << reference.rows << " vectors for "
                                                    << inputs.size() << " photos");
                 return std::unique_ptr<RowFormat>();
             },
         .answer =
             [&](const Input& input, const Result& result) {
                 seen.paths.push_back(input.path);
                 if (result.error)
                     seen.values.resize(seen.values.size() + static_cast<size_t>(seen.dim),
                                        std::numeric_limits<float>::quiet_NaN());
                 else
                     seen.values.insert(seen.values.end(), result.embedding.begin(),
                                        result.embedding.end());
                 ++seen.rows;
             },
         .finish =
             [&](Engine&) {
                 const Differences d = differences(reference, seen);
                 missed = d.compared == 0 || d.least_cosine < flags.threshold;
                 return text_of(d, d.compared ? seen.paths[d.least_row] : "", flags);
             }});
    return missed && code < cli::kMissed ? cli::kMissed : code;
}

constexpr const char* kVerifyExamples =
    R"(engine-run verify --reference vectors.safetensors       the photos that the file names
engine-run verify --reference vectors.npy photos/ --model clip-vit-base-patch32
engine-run embed photos/ --output vectors.safetensors   makes such a file)";

} // namespace

cli::Command verify_command() {
    auto flags = std::make_shared<VerifyFlags>();
    cli::Command command("verify", "Compares with stored vectors.", kVerifyExamples);
    command.arguments("PATH...", "the photos, in the order of the reference (default: its own)",
                      flags->paths, false);
    flags->engine.add_model(command);
    flags->engine.add_device(command);
    flags->engine.add_photos(command);
    command
        .text("reference", "FILE", "vectors to compare with: .safetensors or .npy",
              flags->reference)
        .text("photos", "DIR", "where the photos that the reference names lie (default: here)",
              flags->photos)
        .add({"threshold", "X", "the least cosine that passes (default: 0.9999)", false,
              [flags](const std::string& text, const std::string& label) {
                  flags->threshold = parse_cosine(text, label);
              }})
        .choice("format", "what is printed (default: table)", flags->format, {"table", "json"});
    flags->engine.add_verbosity(command);
    command.run([flags] { return verify(*flags); });
    return command;
}

} // namespace yeoul::run

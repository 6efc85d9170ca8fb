// engine-run duplicates: groups of photos that look alike.
#include <cmath>
#include <iostream>

#include "apps/cli/engine_flags.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/json_text.h"
#include "apps/cli/printable.h"
#include "apps/cli/table.h"
#include "apps/run/commands.h"
#include "apps/run/photo_job.h"
#include "apps/run/vectors_reader.h"
#include "engine/backends.h"
#include "engine/duplicates.h"
#include "loader/json.h"

namespace yeoul::run {
namespace {

struct DuplicatesFlags {
    cli::EngineFlags engine;
    std::vector<std::string> paths;
    std::string format = "table", output, vectors;
    double threshold = 0.95;
};

/// The photos and their vectors, in input order; an empty one where the photo failed.
struct Album {
    std::vector<std::string> paths;
    std::vector<std::vector<float>> vectors;
};

double cosine(const std::vector<float>& x, const std::vector<float>& y) {
    double dot = 0, a = 0, b = 0;
    for (size_t i = 0; i < x.size(); ++i) {
        dot += double{x[i]} * y[i];
        a += double{x[i]} * x[i];
        b += double{y[i]} * y[i];
    }
    return dot / std::sqrt(a * b);
}

// Each group with the cosine of its members to the first.
std::string table_text(const Album& album, const Duplicates& found) {
    std::string text;
    std::vector<std::vector<std::string>> rows;
    for (size_t group = 0; group < found.groups.size(); ++group)
        for (int member : found.groups[group]) {
            const auto& first = album.vectors[found.groups[group].front()];
            rows.push_back({std::to_string(group + 1),
                            cli::fixed(cosine(first, album.vectors[member]), 4),
                            cli::printable(album.paths[member])});
        }
    if (rows.empty())
        text = "no near-duplicates\n";
    else
        text = cli::table({{"group", 5, true}, {"cosine", 6, true}, {"path", 0}}, rows);
    if (!found.closest.empty())
        text += "closest: " + cli::printable(album.paths[found.closest[0]]) + " and " +
                cli::printable(album.paths[found.closest[1]]) + ", cosine " +
                cli::fixed(found.closest_cosine, 4) + "\n";
    return text;
}

std::string json_paths(const Album& album, const std::vector<int>& members) {
    std::string text = "[";
    for (size_t i = 0; i < members.size(); ++i)
        text += (i ? ", " : "") + loader::json_quote(album.paths[members[i]]);
    return text + "]";
}

std::string json_text(const Album& album, const Duplicates& found, bool lines) {
    std::string text;
    for (size_t group = 0; group < found.groups.size(); ++group)
        text += (lines   ? ""
                 : group ? ",\n  "
                         : "\n  ") +
                std::string("{\"group\": ") + std::to_string(group + 1) +
                ", \"paths\": " + json_paths(album, found.groups[group]) + "}" +
                (lines ? "\n" : "");
    if (lines)
        return text;
    std::string closest = "null";
    if (!found.closest.empty()) {
        closest = "{\"paths\": " + json_paths(album, found.closest) + ", \"cosine\": ";
        cli::append_number(closest, found.closest_cosine);
        closest += "}";
    }
    return "{\"groups\": [" + text + "],\n \"closest\": " + closest + "}\n";
}

std::string csv_text(const Album& album, const Duplicates& found) {
    std::string text = "group,path\n";
    for (size_t group = 0; group < found.groups.size(); ++group)
        for (int member : found.groups[group])
            text += std::to_string(group + 1) + ',' + csv_field(album.paths[member]) + '\n';
    return text;
}

std::string text_of(const DuplicatesFlags& flags, const Album& album, const Duplicates& found) {
    if (flags.format == "table")
        return table_text(album, found);
    if (flags.format == "csv")
        return csv_text(album, found);
    return json_text(album, found, flags.format == "jsonl");
}

// Of vectors that are there already: no model is needed.
int stored_duplicates(const DuplicatesFlags& flags) {
    YEOUL_REQUIRE(flags.paths.empty() && flags.output.empty(),
                  "--vectors takes the place of photos and --output; give one of them");
    cli::Console console(flags.engine.verbosity());
    const Vectors stored = read_vectors(flags.vectors);
    const auto backend = make_backend(
        flags.engine.device, flags.engine.threads > 0 ? flags.engine.threads : usable_cores(),
        [&](const std::string& warning) { console.warning(warning); });
    const Duplicates found =
        find_duplicates(*backend, *backend, backend->numerics(flags.engine.precision).compute,
                        {stored.values, stored.dim}, flags.threshold);
    Album album{.paths = stored.paths, .vectors = {}};
    for (int i = 0; i < stored.rows; ++i) {
        album.vectors.emplace_back(stored.row(i), stored.row(i) + stored.dim);
        if (stored.paths.empty())
            album.paths.push_back("vector " + std::to_string(i + 1));
    }
    std::cout << text_of(flags, album, found);
    return cli::kDone;
}

int duplicates(const DuplicatesFlags& flags) {
    if (!flags.vectors.empty())
        return stored_duplicates(flags);
    YEOUL_REQUIRE(!flags.paths.empty(), "name photos, folders, or --vectors FILE");
    Album album;
    return run_photos({.command = "duplicates",
                       .engine = flags.engine,
                       .paths = flags.paths,
                       .output = flags.output,
                       .answer =
                           [&](const Input& input, const Result& result) {
                               album.paths.push_back(input.path);
                               album.vectors.push_back(result.embedding);
                           },
                       .finish =
                           [&](Engine& engine) {
                               return text_of(flags, album,
                                              engine.duplicates(album.vectors, flags.threshold));
                           }});
}

constexpr const char* kPaths = "PATH...";
constexpr const char* kDuplicatesExamples =
    R"(engine-run duplicates photos/                          groups of near-duplicates
engine-run duplicates photos/ --threshold 0.98 --format jsonl
engine-run duplicates photos/ --output vectors.npy      and keep the vectors
engine-run duplicates --vectors vectors.safetensors     of vectors that are there already)";

} // namespace

cli::Command duplicates_command() {
    auto flags = std::make_shared<DuplicatesFlags>();
    cli::Command command("duplicates", "Groups of photos that look alike.", kDuplicatesExamples);
    command.arguments(kPaths,
                      "photos, folders (searched at any depth), or - for a list of paths on stdin",
                      flags->paths, false);
    flags->engine.add_model(command);
    flags->engine.add_device(command);
    flags->engine.add_photos(command);
    command
        .add({"threshold", "X", "the least cosine of two photos that are alike (default: 0.95)",
              false,
              [flags](const std::string& text, const std::string& label) {
                  flags->threshold = parse_cosine(text, label);
              }})
        .choice("format", "what is printed (default: table)", flags->format,
                {"table", "json", "jsonl", "csv"})
        .text("vectors", "FILE", "group stored vectors, .npy or .safetensors, instead of photos",
              flags->vectors)
        .text("output", "FILE", "write the vectors, too: a .npy, .safetensors or .jsonl",
              flags->output)
        .exclusive({"vectors", "output"})
        .exclusive({"vectors", kPaths});
    flags->engine.add_verbosity(command);
    command.run([flags] { return duplicates(*flags); });
    return command;
}

} // namespace yeoul::run

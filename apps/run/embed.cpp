// engine-run embed: a vector per photo.
#include "apps/cli/engine_flags.h"
#include "apps/run/commands.h"
#include "apps/run/photo_job.h"

namespace yeoul::run {
namespace {

struct EmbedFlags {
    cli::EngineFlags engine;
    std::vector<std::string> paths;
    std::string format, output;
    Shard shard;
    bool normalize = false;
};

int embed(const EmbedFlags& flags) {
    PhotoJob job{.command = "embed",
                 .engine = flags.engine,
                 .paths = flags.paths,
                 .shard = flags.shard,
                 .output = flags.output,
                 .normalize = flags.normalize};
    // A file is the result then; a table beside it would only be noise in a script.
    if (!flags.format.empty() || flags.output.empty())
        job.rows = [&](const std::vector<Input>& inputs, const Engine& engine) {
            return make_row_format(flags.format.empty() ? "table" : flags.format, inputs,
                                   engine.info().dim);
        };
    return run_photos(job);
}

constexpr const char* kEmbedExamples =
    R"(engine-run embed photo.jpg                              a table, by the bundled model
engine-run embed photos/ --output vectors.npy           float32 (n, dim), folder searched
engine-run embed photos/ --format jsonl > vectors.jsonl one {"path", "embedding"} a line
find . -name '*.jpg' | engine-run embed - --model clip-vit-base-patch32 --normalize
engine-run embed photos/ --shard 2/8 --output part2.npy the second of eight machines)";

} // namespace

cli::Command embed_command() {
    auto flags = std::make_shared<EmbedFlags>();
    cli::Command command("embed", "A vector per photo.", kEmbedExamples);
    command.arguments(
        "PATH...",
        "photos, folders (searched at any depth), or - for a list of paths on stdin, one "
        "per line or separated by NUL (find -print0)",
        flags->paths, true);
    flags->engine.add_model(command);
    flags->engine.add_device(command);
    flags->engine.add_photos(command);
    command
        .toggle("normalize", "divide each vector by its length (default: off, as transformers)",
                flags->normalize, true)
        .choice("format",
                "what is printed (default: table; with --output and without --format, nothing)",
                flags->format, {"table", "json", "jsonl", "csv"})
        .text("output", "FILE",
              "write vectors to a .npy, .safetensors or .jsonl; failed photos are rows of NaN",
              flags->output)
        .add({"shard", "I/N", "only the I-th of N consecutive parts of the photos", false,
              [flags](const std::string& text, const std::string& label) {
                  flags->shard = parse_shard(text, label);
              }});
    flags->engine.add_verbosity(command);
    command.run([flags] { return embed(*flags); });
    return command;
}

} // namespace yeoul::run

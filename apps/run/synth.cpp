// engine-run synth: a full-size model directory with seeded random weights.
#include <chrono>
#include <memory>

#include "apps/cli/console.h"
#include "apps/cli/engine_flags.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/table.h"
#include "apps/run/commands.h"
#include "apps/synth/architectures.h"
#include "apps/synth/model_directory.h"

namespace yeoul::run {
namespace {

struct SynthFlags {
    cli::EngineFlags engine; // for its verbosity and threads
    std::string arch, output, dtype = "fp32";
    int64_t seed = 0;
    bool force = false;
};

int synth(const SynthFlags& flags) {
    cli::Console console(flags.engine.verbosity());
    YEOUL_REQUIRE(!flags.arch.empty(), "--arch is missing; name one, as in clip-vit-base-patch32");
    YEOUL_REQUIRE(!flags.output.empty(), "--output is missing; name a directory to make");
    const loader::ClipVisionConfig config = synth::architecture(flags.arch);
    const auto start = std::chrono::steady_clock::now();
    const synth::WrittenDirectory written =
        synth::write_clip_directory(config,
                                    {.seed = static_cast<uint64_t>(flags.seed),
                                     .format = flags.dtype == "fp16"   ? synth::WeightFormat::fp16
                                               : flags.dtype == "bf16" ? synth::WeightFormat::bf16
                                                                       : synth::WeightFormat::fp32,
                                     .force = flags.force,
                                     .threads = flags.engine.threads,
                                     .label = flags.arch},
                                    flags.output);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    console.info("wrote " + flags.output + ": random weights, " +
                 cli::fixed(static_cast<double>(written.parameters) / 1e6, 1) + " M parameters, " +
                 cli::fixed(static_cast<double>(written.bytes) / 1e6, 0) + " MB in " +
                 cli::fixed(seconds.count(), 1) + " s");
    return cli::kDone;
}

} // namespace

cli::Command synth_command() {
    auto flags = std::make_shared<SynthFlags>();
    std::string known;
    for (const std::string& name : synth::architecture_names())
        known += (known.empty() ? "" : ", ") + name;
    cli::Command command("synth",
                         "A full-size model directory with seeded random weights, for measuring "
                         "without a download.",
                         "engine-run synth --arch clip-vit-base-patch32 --output /tmp/b32\n"
                         "engine-bench model --model /tmp/b32");
    command.text("arch", "NAME", "one of " + known, flags->arch)
        .text("output", "DIR", "directory to make", flags->output)
        .number("seed", "N", "other weights (default: 0)", flags->seed, 0, INT64_MAX)
        .choice("dtype", "how weights are stored (default: fp32)", flags->dtype,
                {"fp32", "fp16", "bf16"})
        .toggle("force", "replace the files of a directory that is not empty", flags->force)
        .number("threads", "N", "host threads; the bytes do not depend on it (default: the cores)",
                flags->engine.threads, 1, 1024);
    flags->engine.add_verbosity(command);
    command.run([flags] { return synth(*flags); });
    return command;
}

} // namespace yeoul::run

// engine-run synth: a full-size model directory with seeded random weights.
#include <chrono>
#include <memory>

#include "apps/cli/console.h"
#include "apps/cli/engine_flags.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/stop_signals.h"
#include "apps/cli/table.h"
#include "apps/run/commands.h"
#include "apps/synth/architectures.h"
#include "apps/synth/model_directory.h"
#include "engine/backends.h"

namespace yeoul::run {
namespace {

struct SynthFlags {
    cli::EngineFlags engine; // for its verbosity and threads
    std::string arch, output, dtype = "fp32";
    int64_t seed = 0;
    bool force = false;
};

synth::WeightFormat parse_format(const std::string& name) {
    if (name == "fp16")
        return synth::WeightFormat::fp16;
    return name == "bf16" ? synth::WeightFormat::bf16 : synth::WeightFormat::fp32;
}

int synth(const SynthFlags& flags) {
    cli::Console console(flags.engine.verbosity());
    YEOUL_REQUIRE(!flags.arch.empty(), "--arch is missing; name one, as in clip-vit-base-patch32");
    YEOUL_REQUIRE(!flags.output.empty(), "--output is missing; name a directory to make");
    const loader::ClipVisionConfig config = synth::architecture(flags.arch);
    std::stop_source stop;
    const cli::StopSignals signals([&] { stop.request_stop(); });
    const auto start = std::chrono::steady_clock::now();
    const synth::DirectoryOptions options{.seed = static_cast<uint64_t>(flags.seed),
                                          .format = parse_format(flags.dtype),
                                          .force = flags.force,
                                          .threads = flags.engine.threads > 0 ? flags.engine.threads
                                                                              : usable_cores(),
                                          .stop = stop.get_token(),
                                          .label = flags.arch};
    synth::WrittenDirectory written;
    try {
        written = synth::write_clip_directory(config, options, flags.output);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::cancelled)
            throw;
        console.warning("stopped by a signal; nothing was written");
        return cli::kSignalBase + signals.caught();
    }
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
        .add({.name = "output",
              .value = "DIR",
              .help = "directory to make",
              .set = [flags](const std::string& text, const std::string&) { flags->output = text; },
              // YEOUL_OUTPUT names the vectors of embed.
              .environment = false})
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

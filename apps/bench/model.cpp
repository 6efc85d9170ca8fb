// engine-bench model: the forward pass, by batch, precision and number of streams.
#include <algorithm>
#include <iostream>
#include <memory>
#include <sstream>

#include "apps/bench/commands.h"
#include "apps/bench/environment.h"
#include "apps/bench/measured_model.h"
#include "apps/bench/model_session.h"
#include "apps/bench/output.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/table.h"

namespace yeoul::bench {
namespace {

struct ModelFlags {
    std::string model, arch, device = "auto";
    std::vector<int> batches = {1, 8, 32}, streams = {1};
    std::vector<std::string> precisions = {"fp32"};
    int threads = 0, repetitions = 10, warmup = 2;
    bool standard_input = false;
    OutputFlags output;
};

Measurement measure(ModelSession& session, const ModelFlags& flags, const std::string& name,
                    int batch, double gflop) {
    for (int i = 0; i < flags.warmup; ++i)
        session.run();
    Measurement measurement;
    std::vector<double> compute, wall;
    const double photos = session.photos();
    for (int i = 0; i < flags.repetitions; ++i) {
        const ModelSession::Times times = session.run();
        measurement.samples_ms.push_back(times.wall_ms / photos);
        wall.push_back(times.wall_ms);
        compute.push_back(times.compute_ms);
    }
    const DeviceInfo& device = session.session().device();
    measurement.key = {{"model", name},
                       {"device", device.kind},
                       {"precision", std::string(yeoul::name(device.dtype))},
                       {"threads", std::to_string(device.threads)},
                       {"streams", std::to_string(device.streams)},
                       {"batch", std::to_string(batch)}};
    const double share = std::min(1.0, summarize(compute).median / summarize(wall).median);
    const double median = summarize(measurement.samples_ms).median;
    measurement.values = {{"GFLOP/s", gflop / median * 1000, 0}, {"forward %", 100 * share, 1}};
    // Below that, handing photos over costs more than a tenth of the time.
    measurement.bound_by = share >= 0.9 ? "compute" : "hand-over";
    return measurement;
}

int measure_all(const ModelFlags& flags) {
    flags.output.check("model");
    const MeasuredModel model(flags.model, flags.arch);
    const double gflop = gflop_per_photo(model.path());
    Report report{.benchmark = "model", .environment = environment(), .measurements = {}};
    for (const std::string& precision : flags.precisions)
        for (int streams : flags.streams)
            for (int batch : flags.batches) {
                ModelSession session({.model = model.path(),
                                      .device = flags.device,
                                      .precision = precision,
                                      .batch = batch,
                                      .streams = streams,
                                      .threads = flags.threads});
                report.measurements.push_back(measure(session, flags, model.name(), batch, gflop));
            }
    return print(report, flags.output);
}

/// For a driver that interleaves this program with others on the same cores.
int serve_lines(const ModelFlags& flags) {
    YEOUL_REQUIRE(flags.precisions.size() == 1 && flags.streams.size() == 1,
                  "--stdin takes one precision and one number of streams");
    const MeasuredModel model(flags.model, flags.arch);
    ChangingSession session({.model = model.path(),
                             .device = flags.device,
                             .precision = flags.precisions[0],
                             .streams = flags.streams[0],
                             .threads = flags.threads},
                            flags.batches);
    const auto warm_up = [&](ModelSession& opened) {
        for (int i = 0; i < flags.warmup; ++i)
            opened.run();
    };
    std::cout << "{\"ready\": true}" << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        int batch = 0, iterations = 0;
        YEOUL_REQUIRE(words >> batch >> iterations && batch >= 1 && batch <= 1024 &&
                          iterations >= 1,
                      "line '" << line << "' on stdin must be BATCH ITERATIONS, as in '8 5'");
        ModelSession& timed = session.at(batch, warm_up);
        std::string wall, compute;
        for (int i = 0; i < iterations; ++i) {
            const ModelSession::Times times = timed.run();
            wall += (i ? ", " : "") + cli::fixed(times.wall_ms, 4);
            compute += (i ? ", " : "") + cli::fixed(times.compute_ms, 4);
        }
        std::cout << "{\"batch\": " << batch << ", \"photos\": " << timed.photos()
                  << ", \"wall_ms\": [" << wall << "], \"compute_ms\": [" << compute << "]}"
                  << std::endl;
    }
    return cli::kDone;
}

} // namespace

cli::Command model_command() {
    auto flags = std::make_shared<ModelFlags>();
    cli::Command command("model",
                         "The forward pass on pixels of the model's size, by batch, precision and "
                         "streams.",
                         "engine-bench model --arch clip-vit-base-patch32\n"
                         "engine-bench model --model DIR --batches 1,8 --format json > old.json\n"
                         "engine-bench model --model DIR --batches 1,8 --compare old.json");
    command.text("model", "DIR", "model directory (default: the bundled model)", flags->model)
        .text("arch", "NAME", "or random weights of this architecture, made for the run",
              flags->arch)
        .exclusive({"model", "arch"})
        .text("device", "DEVICE", "auto, cpu, cuda or cuda:N (default: auto)", flags->device)
        .numbers("batches", "N,...", "photos in a forward pass (default: 1,8,32)", flags->batches,
                 1, 1024)
        .selection("precisions", "(default: fp32)", flags->precisions,
                   {"auto", "fp32", "bf16", "fp16"})
        .numbers("streams", "N,...", "compute streams, each with a batch (default: 1)",
                 flags->streams, 1, 4)
        .number("threads", "N", "host threads (default: the cores)", flags->threads, 1, 1024)
        .number("repetitions", "N", "timed runs of each (default: 10)", flags->repetitions, 1,
                100000)
        .number("warmup", "N", "runs before that (default: 2)", flags->warmup, 0, 1000)
        .toggle("stdin",
                "time what each line 'BATCH ITERATIONS' asks for and answer with a JSON line",
                flags->standard_input);
    flags->output.add(command);
    command.run(
        [flags] { return flags->standard_input ? serve_lines(*flags) : measure_all(*flags); });
    return command;
}

} // namespace yeoul::bench

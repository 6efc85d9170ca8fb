// engine-run tune: times the candidate GEMMs of a model on this device and keeps the table.
#include <chrono>
#include <iostream>
#include <memory>

#include "apps/cli/console.h"
#include "apps/cli/engine_flags.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/table.h"
#include "apps/run/commands.h"
#include "engine/backends.h"
#include "engine/buckets.h"
#include "engine/models/model.h"
#include "engine/tables.h"

namespace yeoul::run {
namespace {

constexpr double kSeconds = 8; // of timing; with loading, done in 10

int tune(const cli::EngineFlags& flags) {
    cli::Console console(flags.verbosity());
    const EngineOptions options = flags.options(console);
    const auto start = std::chrono::steady_clock::now();
    const std::unique_ptr<Backend> backend =
        make_backend(options.device, options.threads,
                     [&](const std::string& warning) { console.warning(warning); });
    const OpenedModel opened = open_model(
        options.model, *backend, backend->numerics("auto"),
        [&](const batching::VisionTransformer& model) {
            return batch_sizes(propose_buckets(backend->properties(), model, options.batch_size));
        });
    const std::string table = backend->tune_gemms(kSeconds);
    const DeviceProperties& device = backend->properties();
    if (table.empty()) {
        console.info("device " + device.kind + " (" + device.name + ") has nothing to tune");
        return cli::kDone;
    }
    const std::string name = gemm_table_name(device.isa, device.name);
    write_table(name, table);
    forget_buckets(device); // they were timed with other products
    std::cout << table;
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    console.info("wrote " + table_path(name).string() + " in " + cli::fixed(seconds.count(), 1) +
                 " s; it is read at every start on " + device.name + " as " + device.isa +
                 ", and the next one times its batches anew");
    return cli::kDone;
}

} // namespace

cli::Command tune_command() {
    auto flags = std::make_shared<cli::EngineFlags>();
    cli::Command command("tune",
                         "Times the candidate kernels of this model's matrix products on this "
                         "device, and keeps the winners in a readable table.",
                         "engine-run tune --model clip-vit-base-patch32 --device cuda");
    flags->add_model(command);
    flags->add_device(command);
    flags->add_verbosity(command);
    command.run([flags] { return tune(*flags); });
    return command;
}

} // namespace yeoul::run

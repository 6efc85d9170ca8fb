// engine-bench: how fast it is here, as a table for an issue or JSON for a comparison.
#include "apps/bench/commands.h"
#include "apps/cli/openmp_waits.h"
#include "apps/cli/version.h"

int main(int argc, char** argv) {
    using namespace yeoul;
    cli::keep_openmp_waits_short(argv);
    return cli::run_program({.name = "engine-bench",
                             .summary = "Yeoul's benchmarks.",
                             .version = cli::version_text("engine-bench"),
                             .commands = {bench::model_command(), bench::preprocess_command(),
                                          bench::allocator_command(), bench::serve_command(),
                                          bench::scheduler_command(), bench::simulate_command(),
                                          bench::soak_command()}},
                            argc, argv);
}

// engine-run: vectors of photos from the command line.
#include <yeoul/engine.h>

#include "apps/cli/openmp_waits.h"
#include "apps/cli/version.h"
#include "apps/run/commands.h"

int main(int argc, char** argv) {
    using namespace yeoul;
    cli::keep_openmp_waits_short(argv);
    return cli::run_program(
        {.name = "engine-run",
         .summary = "Yeoul: photos in, vectors out.",
         .version = cli::version_text("engine-run"),
         .commands = {run::embed_command(), run::tag_command(), run::duplicates_command(),
                      run::inspect_command(), run::plan_command(), run::verify_command(),
                      run::compare_command(), run::synth_command(), run::tune_command(),
                      run::doctor_command()}},
        argc, argv);
}

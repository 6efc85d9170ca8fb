#include "apps/cli/openmp_waits.h"

#include <sys/auxv.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

namespace yeoul::cli {

void keep_openmp_waits_short(char** argv) {
    if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr)
        return;
    // 0 where the kernel found no interpreter to load beside the program: somebody ran the loader
    // with the program as its argument, and /proc/self/exe is the loader.
    if (::getauxval(AT_BASE) == 0)
        return;
    char program[PATH_MAX + 1] = {}; // by its name, which ps and killall show
    if (::readlink("/proc/self/exe", program, PATH_MAX) <= 0 ||
        ::setenv("GOMP_SPINCOUNT", "5000", 0) != 0)
        return;
    ::execv(program, argv); // returns where it cannot: then the waits are long
}

} // namespace yeoul::cli

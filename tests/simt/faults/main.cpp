// Runs one planted fault: simt_faults NAME. Prints what was noticed: "nothing", "wrong result" or
// the emulator's error. A sanitizer prints its own report and ends the program.
#include <cstdio>
#include <exception>
#include <string>

#include "tests/simt/faults/kernels.h"

int main(int count, char** arguments) {
    using namespace simt::faults;
    const std::string wanted = count > 1 ? arguments[1] : "";
    for (const auto& faults :
         {shared_memory_faults(), access_faults(), meeting_faults(), host_faults()})
        for (const Fault& fault : faults) {
            if (fault.name != wanted)
                continue;
            try {
                std::puts(fault.run() ? "nothing" : "wrong result");
            } catch (const std::exception& error) {
                std::printf("error: %s\n", error.what());
            }
            return 0;
        }
    std::printf("there is no fault '%s'\n", wanted.c_str());
    return 2;
}

// Any text as the target of a request: an Error of code `invalid_argument`, or at least one
// segment.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <yeoul/error.h>

#include "apps/serve/wire/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace yeoul;
    try {
        const serve::Target target =
            serve::parse_target({reinterpret_cast<const char*>(data), size});
        if (target.segments.empty())
            std::abort();
    } catch (const Error& error) {
        if (error.code() != ErrorCode::invalid_argument)
            std::abort();
    }
    return 0;
}

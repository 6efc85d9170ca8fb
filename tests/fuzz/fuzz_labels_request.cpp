// Any body of PUT /v1/labels: labels and templates, or an Error of code `invalid_argument`.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <yeoul/error.h>

#include "apps/serve/wire/labels_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace yeoul;
    try {
        serve::parse_labels_request({reinterpret_cast<const char*>(data), size});
    } catch (const Error& error) {
        if (error.code() != ErrorCode::invalid_argument)
            std::abort();
    }
    return 0;
}

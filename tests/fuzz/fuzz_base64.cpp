// Any text as base64 and as a data URI: an Error of code `invalid_argument`, or bytes that encode
// to the same text.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <yeoul/error.h>

#include "apps/serve/wire/base64.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace yeoul;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    try {
        const std::string again = serve::encode_base64(serve::decode_base64(text));
        if (!again.starts_with(text)) // padding may have been left out
            std::abort();
    } catch (const Error& error) {
        if (error.code() != ErrorCode::invalid_argument)
            std::abort();
    }
    try {
        serve::decode_data_uri(text);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::invalid_argument)
            std::abort();
    }
    return 0;
}

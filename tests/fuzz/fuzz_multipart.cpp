// Any bytes as a form and as the header values in it: an Error of code `invalid_argument`, or parts
// that lie in the body, in order.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <yeoul/error.h>

#include "apps/serve/wire/header_value.h"
#include "apps/serve/wire/multipart.h"

namespace {

void require(bool holds) {
    if (!holds)
        std::abort();
}

template <class Parse>
void expect_refusal_at_most(Parse&& parse) {
    try {
        parse();
    } catch (const yeoul::Error& error) {
        require(error.code() == yeoul::ErrorCode::invalid_argument);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace yeoul::serve;
    constexpr size_t kMostParts = 8;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    expect_refusal_at_most([&] {
        const auto parts = parse_multipart({data, size}, "b", kMostParts);
        require(parts.size() <= kMostParts);
        const uint8_t* before = data;
        for (const FormPart& part : parts) {
            require(part.data.data() >= before && part.data.size() <= size);
            before = part.data.data() + part.data.size();
            require(before <= data + size);
        }
    });
    expect_refusal_at_most([&] { require(multipart_boundary(text).size() <= 70); });
    parse_header_value(text);
    return 0;
}

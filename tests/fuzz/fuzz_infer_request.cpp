// Any bytes as an inference request: an Error of code `invalid_argument`, or tensors whose elements
// fit their shapes. The first two bytes are where the JSON ends; 65,535 means without that header.
#include <cstdint>
#include <cstdlib>
#include <string>

#include <yeoul/error.h>

#include "apps/serve/wire/infer_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace yeoul;
    if (size < 2)
        return 0;
    const unsigned length = data[0] | data[1] << 8;
    const std::span<const uint8_t> body(data + 2, size - 2);
    try {
        const serve::InferRequest request = serve::parse_infer_request(
            body, length == 0xFFFF ? std::string() : std::to_string(length));
        unsigned sum = 0;
        for (const serve::InferInput& input : request.inputs) {
            uint64_t count = 1;
            for (int64_t extent : input.shape)
                count *= static_cast<uint64_t>(extent);
            if (input.datatype == "BYTES" &&
                (input.binary ? input.elements.size() : input.texts.size()) != count)
                std::abort();
            for (const auto& element : input.elements)
                for (uint8_t byte : element) // AddressSanitizer sees what lies outside
                    sum += byte;
        }
        volatile unsigned keep = sum;
        static_cast<void>(keep);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::invalid_argument)
            std::abort();
    }
    return 0;
}

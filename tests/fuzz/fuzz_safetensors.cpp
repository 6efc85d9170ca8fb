// Any bytes as a safetensors file: an Error of code `model`, or tensors that tile the data.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <yeoul/error.h>

#include "loader/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace yeoul;
    const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
    try {
        const auto file = loader::Safetensors::parse(bytes, "fuzz");
        size_t covered = 0;
        unsigned sum = 0;
        for (const auto& [name, tensor] : file.tensors()) {
            covered += tensor.data.size();
            for (std::byte byte : tensor.data) // AddressSanitizer sees what lies outside
                sum += static_cast<unsigned>(byte);
            try {
                const View seen = loader::view(tensor);
                if (seen.bytes() != tensor.data.size())
                    std::abort();
            } catch (const Error& error) {
                if (error.code() != ErrorCode::model)
                    std::abort();
            }
        }
        volatile unsigned keep = sum;
        static_cast<void>(keep);
        uint64_t header_bytes = 0;
        std::memcpy(&header_bytes, data, sizeof header_bytes);
        if (covered + header_bytes + sizeof header_bytes != size)
            std::abort();
    } catch (const Error& error) {
        if (error.code() != ErrorCode::model)
            std::abort();
    }
    return 0;
}

// An inference request of the KServe V2 / Open Inference Protocol with Triton's binary tensor data
// extension (its inference_rest.md and extension_binary_data.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace yeoul::serve {

struct InferInput {
    std::string name;
    std::string datatype; // "BYTES"
    std::vector<int64_t> shape;
    /// Binary elements of a BYTES tensor, in the body that was parsed; one per element of `shape`.
    std::vector<std::span<const uint8_t>> elements;
    /// The same when they came as JSON strings.
    std::vector<std::string> texts;
    bool binary = false;
};

struct InferOutput {
    std::string name;
    std::optional<bool> binary; // `binary_data`; empty: as the request says
    int64_t classification = 0;
};

struct InferRequest {
    std::optional<std::string> id; // comes back
    bool binary_outputs = false;
    int64_t timeout_us = 0; // 0: none
    int64_t priority = 0;   // 1 is the highest, 0 the default
    std::vector<InferInput> inputs;
    std::vector<InferOutput> outputs; // empty: all
};

/// `json_bytes` is the header Inference-Header-Content-Length, empty when there was none. What is
/// binary must fill the body behind the JSON to the last byte, and each tensor its shape.
/// Throws `Error`, code `invalid_argument`, naming the input and the value.
InferRequest parse_infer_request(std::span<const uint8_t> body, std::string_view json_bytes);

/// Bytes of one element; 0 for BYTES and for names that are no type.
size_t element_bytes(std::string_view datatype);

} // namespace yeoul::serve

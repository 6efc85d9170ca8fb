// The head of one safetensors file: which tensors there are and where their bytes lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loader/safetensors.h"

namespace yeoul::loader {

constexpr uint64_t kMaxHeaderBytes = 100'000'000; // the reference reader's limit

/// Bits of one element of a dtype as safetensors spells it; 0 when unknown.
int dtype_bits(std::string_view dtype);

/// Bytes of a dense tensor; false when a product overflows or bits do not fill whole bytes.
bool tensor_bytes(int element_bits, const std::vector<int64_t>& shape, size_t& bytes);

struct SafetensorsHeader {
    std::vector<TensorInfo> tensors; // by name; their data lies in the file image
    std::map<std::string, std::string> metadata;
};
/// Validates the whole file image; what is refused is listed in loader/safetensors.h.
SafetensorsHeader read_safetensors_header(std::span<const std::byte> file,
                                          const std::string& label);

} // namespace yeoul::loader

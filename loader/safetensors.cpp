#include "loader/safetensors.h"

#include <climits>
#include <functional>
#include <utility>

#include <yeoul/error.h>

#include "loader/json.h"
#include "loader/safetensors_header.h"

namespace yeoul::loader {

Safetensors Safetensors::open_file(const std::filesystem::path& file) {
    Safetensors result;
    auto mapping = std::make_shared<MappedFile>(file);
    result.add(mapping->bytes(), file.string());
    result.mappings_.push_back(std::move(mapping));
    result.files_.push_back(file);
    return result;
}

Safetensors Safetensors::parse(std::span<const std::byte> bytes, const std::string& label) {
    Safetensors result;
    result.add(bytes, label);
    return result;
}

void Safetensors::add(std::span<const std::byte> bytes, const std::string& label) {
    SafetensorsHeader header = read_safetensors_header(bytes, label);
    for (TensorInfo& tensor : header.tensors) {
        std::string name = tensor.name;
        tensors_.emplace(std::move(name), std::move(tensor));
    }
    metadata_ = std::move(header.metadata);
}

const TensorInfo* Safetensors::find(std::string_view name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
}

void Safetensors::drop(const TensorInfo& tensor) const noexcept {
    const std::less<> before; // a total order also over pointers into different mappings
    for (const auto& mapping : mappings_) {
        const auto bytes = mapping->bytes();
        if (!before(tensor.data.data(), bytes.data()) &&
            before(tensor.data.data(), bytes.data() + bytes.size()))
            mapping->drop(tensor.data);
    }
}

View view(const TensorInfo& tensor) {
    const std::string what = "tensor " + in_quotes(tensor.name);
    View result;
    if (tensor.dtype == "F32")
        result.dtype = DType::f32;
    else if (tensor.dtype == "F16")
        result.dtype = DType::f16;
    else if (tensor.dtype == "BF16")
        result.dtype = DType::bf16;
    else
        throw Error(ErrorCode::model, what + " is " + tensor.dtype +
                                          ", weights must be F32, F16 or BF16; save the model in "
                                          "one of these");
    if (tensor.shape.size() > View::kMaxRank)
        throw Error(ErrorCode::model, what + " has " + std::to_string(tensor.shape.size()) +
                                          " dimensions, at most 4 are supported");
    for (int64_t extent : tensor.shape) {
        if (extent > INT_MAX)
            throw Error(ErrorCode::model, what + " has an extent of " + std::to_string(extent) +
                                              ", at most 2147483647 is supported");
        result.shape[static_cast<size_t>(result.rank++)] = static_cast<int>(extent);
    }
    // Views are also outputs, so their pointer is mutable; the mapping itself is read-only.
    result.data = const_cast<std::byte*>(tensor.data.data());
    return result;
}

} // namespace yeoul::loader

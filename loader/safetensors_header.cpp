#include "loader/safetensors_header.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include <yeoul/error.h>

#include "loader/json.h"

namespace yeoul::loader {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr size_t kLengthBytes = 8;

// The dtypes of the reference implementation, safetensors/src/tensor.rs.
constexpr std::array<std::pair<std::string_view, int>, 22> kDtypeBits{{
    {"F32", 32},    {"F16", 16},    {"BF16", 16},       {"F64", 64},        {"I64", 64},
    {"I32", 32},    {"I16", 16},    {"I8", 8},          {"U64", 64},        {"U32", 32},
    {"U16", 16},    {"U8", 8},      {"BOOL", 8},        {"C64", 64},        {"F8_E4M3", 8},
    {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6},
    {"F6_E3M2", 6}, {"F4", 4},
}};

[[noreturn]] void refuse(const std::string& label, const std::string& what) {
    throw Error(ErrorCode::model,
                label + ": " + what + "; the file is damaged or incomplete, fetch it again");
}

struct Entry {
    TensorInfo tensor;
    size_t begin = 0, end = 0; // in the data part
};

// A non-negative integer, or false.
bool natural(const Json& value, int64_t& out) {
    if (value.integer() == nullptr || *value.integer() < 0)
        return false;
    out = *value.integer();
    return true;
}

std::string shape_text(const std::vector<int64_t>& shape) {
    std::string text = "(";
    for (size_t axis = 0; axis < shape.size(); ++axis)
        text += (axis ? ", " : "") + std::to_string(shape[axis]);
    return text + ")";
}

Entry read_entry(const std::string& name, const Json& value, size_t data_bytes,
                 const std::string& label) {
    const std::string tensor = "tensor " + in_quotes(name);
    if (value.object() == nullptr)
        refuse(label, tensor + " is " + value.describe() + " where an object must stand");
    for (const Json::Member& member : *value.object())
        if (member.first != "dtype" && member.first != "shape" && member.first != "data_offsets")
            refuse(label, tensor + " has the unknown entry " + in_quotes(member.first));

    Entry entry;
    entry.tensor.name = name;
    const Json* dtype = value.find("dtype");
    if (dtype == nullptr || dtype->string() == nullptr)
        refuse(label, tensor + " has no dtype");
    entry.tensor.dtype = *dtype->string();
    const int bits = dtype_bits(entry.tensor.dtype);
    if (bits == 0)
        refuse(label, tensor + " has the unknown dtype " + in_quotes(entry.tensor.dtype));

    const Json* shape = value.find("shape");
    if (shape == nullptr || shape->array() == nullptr)
        refuse(label, tensor + " has no shape");
    for (const Json& extent : *shape->array()) {
        if (!natural(extent, entry.tensor.shape.emplace_back()))
            refuse(label, tensor + " has " + extent.describe() + " in its shape");
    }

    const Json* offsets = value.find("data_offsets");
    int64_t begin = 0, end = 0;
    if (offsets == nullptr || offsets->array() == nullptr || offsets->array()->size() != 2 ||
        !natural(offsets->array()->front(), begin) || !natural(offsets->array()->back(), end))
        refuse(label, tensor + " has no data_offsets of two integers");
    entry.begin = static_cast<size_t>(begin);
    entry.end = static_cast<size_t>(end);
    const std::string range = std::to_string(begin) + " to " + std::to_string(end);
    if (begin > end || entry.end > data_bytes)
        refuse(label, tensor + " claims bytes " + range + " of " + std::to_string(data_bytes));

    size_t bytes = 0;
    if (!tensor_bytes(bits, entry.tensor.shape, bytes))
        refuse(label, tensor + " has shape " + shape_text(entry.tensor.shape) + " of " +
                          entry.tensor.dtype + ", which is no whole number of bytes in 64 bits");
    if (bytes != entry.end - entry.begin)
        refuse(label, tensor + " of shape " + shape_text(entry.tensor.shape) + " and dtype " +
                          entry.tensor.dtype + " takes " + std::to_string(bytes) +
                          " bytes and claims " + range);
    return entry;
}

std::map<std::string, std::string> read_metadata(const Json& value, const std::string& label) {
    if (value.object() == nullptr)
        refuse(label, "__metadata__ is " + value.describe() + " where an object must stand");
    std::map<std::string, std::string> metadata;
    for (const Json::Member& member : *value.object()) {
        if (member.second.string() == nullptr)
            refuse(label, "__metadata__ entry " + in_quotes(member.first) + " is " +
                              member.second.describe() + " where a string must stand");
        metadata.emplace(member.first, *member.second.string());
    }
    return metadata;
}

// Every byte of the data belongs to exactly one tensor. Empty tensors lie between two others.
void require_tiling(const std::vector<Entry>& entries, size_t data_bytes,
                    const std::string& label) {
    std::vector<const Entry*> order;
    order.reserve(entries.size());
    for (const Entry& entry : entries)
        order.push_back(&entry);
    std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) {
        return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
    });
    size_t covered = 0;
    const std::string* before = nullptr;
    for (const Entry* entry : order) {
        const std::string tensor = "tensor " + in_quotes(entry->tensor.name);
        if (entry->begin < covered)
            refuse(label, tensor + " overlaps tensor " + in_quotes(*before));
        if (entry->begin > covered)
            refuse(label, "bytes " + std::to_string(covered) + " to " +
                              std::to_string(entry->begin) + " before " + tensor +
                              " belong to no tensor");
        covered = entry->end;
        before = &entry->tensor.name;
    }
    if (covered != data_bytes)
        refuse(label, "its tensors cover " + std::to_string(covered) +
                          " bytes of data and it has " + std::to_string(data_bytes));
}

} // namespace

int dtype_bits(std::string_view dtype) {
    for (const auto& [known, bits] : kDtypeBits)
        if (known == dtype)
            return bits;
    return 0;
}

bool tensor_bytes(int element_bits, const std::vector<int64_t>& shape, size_t& bytes) {
    uint64_t product = 1;
    for (int64_t extent : shape)
        if (__builtin_mul_overflow(product, static_cast<uint64_t>(extent), &product))
            return false;
    if (__builtin_mul_overflow(product, static_cast<uint64_t>(element_bits), &product))
        return false;
    bytes = static_cast<size_t>(product / 8);
    return product % 8 == 0;
}

SafetensorsHeader read_safetensors_header(std::span<const std::byte> file,
                                          const std::string& label) {
    if (file.size() < kLengthBytes)
        refuse(label, "it has " + std::to_string(file.size()) +
                          " bytes, a safetensors file has at least 8");
    uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, file.data(), kLengthBytes);
    if (header_bytes > kMaxHeaderBytes)
        refuse(label, "its header of " + std::to_string(header_bytes) +
                          " bytes is above the limit of " + std::to_string(kMaxHeaderBytes));
    if (header_bytes > file.size() - kLengthBytes)
        refuse(label, "its header of " + std::to_string(header_bytes) +
                          " bytes is longer than the file of " + std::to_string(file.size()));
    const auto data = file.subspan(kLengthBytes + static_cast<size_t>(header_bytes));
    const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes,
                                static_cast<size_t>(header_bytes));
    const Json json = parse_json(text, label + " header");
    if (json.object() == nullptr)
        refuse(label, "its header is " + json.describe() + " where an object must stand");

    SafetensorsHeader header;
    std::vector<Entry> entries;
    for (const Json::Member& member : *json.object()) {
        if (member.first == "__metadata__")
            header.metadata = read_metadata(member.second, label);
        else
            entries.push_back(read_entry(member.first, member.second, data.size(), label));
    }
    require_tiling(entries, data.size(), label);
    for (Entry& entry : entries) {
        entry.tensor.data = data.subspan(entry.begin, entry.end - entry.begin);
        header.tensors.push_back(std::move(entry.tensor));
    }
    return header;
}

} // namespace yeoul::loader

#include "apps/serve/wire/infer_request.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <yeoul/error.h>

#include "apps/serve/wire/bounded_json.h"

namespace yeoul::serve {
namespace {

using nlohmann::json;

constexpr size_t kMostInputs = 16;
constexpr size_t kMostRank = 8;
// More elements than any body here has bytes; products of extents stay below it.
constexpr int64_t kMostElements = int64_t{1} << 40;

struct TypeSize {
    std::string_view name;
    size_t bytes;
};
constexpr TypeSize kTypes[] = {{"BOOL", 1},   {"UINT8", 1}, {"UINT16", 2}, {"UINT32", 4},
                               {"UINT64", 8}, {"INT8", 1},  {"INT16", 2},  {"INT32", 4},
                               {"INT64", 8},  {"FP16", 2},  {"BF16", 2},   {"FP32", 4},
                               {"FP64", 8}};

/// The whole number of a parameter; the protocol's clients send numbers and numeric strings.
int64_t whole_number(const json& value, const std::string& what) {
    int64_t number = -1;
    if (value.is_number_unsigned()) {
        YEOUL_REQUIRE(value.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX),
                      what << " is too large");
        number = value.get<int64_t>();
    } else if (value.is_string()) {
        const auto& text = value.get_ref<const std::string&>();
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        YEOUL_REQUIRE(error == std::errc() && end == text.data() + text.size() && number >= 0,
                      what << " is '" << text << "', must be a whole number");
    }
    YEOUL_REQUIRE(number >= 0, what << " must be a whole number, not negative");
    return number;
}

bool flag(const json& value, const std::string& what) {
    YEOUL_REQUIRE(value.is_boolean(), what << " must be true or false");
    return value.get<bool>();
}

json parameters_of(const json& object, const std::string& owner) {
    const auto found = object.find("parameters");
    if (found == object.end())
        return json::object();
    YEOUL_REQUIRE(found->is_object(), "the parameters of " << owner << " must be an object");
    return *found;
}

const json& array_member(const json& object, const char* key) {
    const auto found = object.find(key);
    YEOUL_REQUIRE(found != object.end() && found->is_array(),
                  "the request has no array '" << key << "'");
    return *found;
}

std::string required_text(const json& object, const char* key, const std::string& owner) {
    YEOUL_REQUIRE(object.is_object(), owner << " must be an object");
    const std::string text = text_member(object, key, "");
    YEOUL_REQUIRE(!text.empty(), owner << " has no '" << key << "'");
    return text;
}

std::vector<int64_t> parse_shape(const json& input, const std::string& what) {
    std::vector<int64_t> shape;
    const json& extents = array_member(input, "shape");
    YEOUL_REQUIRE(!extents.empty() && extents.size() <= kMostRank,
                  what << " has " << extents.size() << " dimensions, may have 1 to " << kMostRank);
    for (const json& extent : extents)
        shape.push_back(whole_number(extent, "a dimension of " + what));
    return shape;
}

int64_t element_count(const std::vector<int64_t>& shape, const std::string& what) {
    int64_t count = 1;
    for (int64_t extent : shape) {
        YEOUL_REQUIRE(extent == 0 || count <= kMostElements / extent,
                      what << " has a shape of over " << kMostElements << " elements");
        count *= extent;
    }
    return count;
}

/// Each element of a BYTES tensor is its length in 4 bytes, little-endian, and its bytes.
void split_elements(std::span<const uint8_t> data, int64_t count, const std::string& what,
                    InferInput& input) {
    size_t at = 0;
    // The count is the client's word; the data is there.
    YEOUL_REQUIRE(count <= static_cast<int64_t>(data.size() / 4),
                  what << " has " << data.size() << " bytes, too few for " << count << " elements");
    for (int64_t i = 0; i < count; ++i) {
        YEOUL_REQUIRE(data.size() - at >= 4, what << " ends before the length of element " << i);
        const uint32_t length = data[at] | data[at + 1] << 8 | data[at + 2] << 16 |
                                static_cast<uint32_t>(data[at + 3]) << 24;
        at += 4;
        YEOUL_REQUIRE(length <= data.size() - at, what << ": element " << i << " has " << length
                                                       << " bytes, but " << data.size() - at
                                                       << " are left");
        input.elements.push_back(data.subspan(at, length));
        at += length;
    }
    YEOUL_REQUIRE(at == data.size(),
                  what << " has " << data.size() - at << " bytes behind its last element");
}

/// `data` may be nested or flat.
void flatten(const json& data, const std::string& what, bool texts, InferInput& input,
             int64_t& count) {
    for (const json& value : data) {
        if (value.is_array()) {
            flatten(value, what, texts, input, count);
            continue;
        }
        ++count;
        YEOUL_REQUIRE(texts ? value.is_string() : value.is_number() || value.is_boolean(),
                      what << " has a value that is no " << (texts ? "string" : "number"));
        if (texts)
            input.texts.push_back(value.get<std::string>());
    }
}

/// Reads the tensors and takes what is binary off the front of `binary`.
InferInput parse_input(const json& object, size_t number, std::span<const uint8_t>& binary) {
    InferInput input;
    input.name = required_text(object, "name", "input " + std::to_string(number));
    const std::string what = "input '" + input.name + "'";
    input.datatype = required_text(object, "datatype", what);
    const size_t size = element_bytes(input.datatype);
    const bool bytes = input.datatype == "BYTES";
    YEOUL_REQUIRE(size > 0 || bytes,
                  what << " has the unknown datatype '" << input.datatype << "'");
    input.shape = parse_shape(object, what);
    const int64_t count = element_count(input.shape, what);
    const json parameters = parameters_of(object, what);
    YEOUL_REQUIRE(!parameters.contains("shared_memory_region"),
                  what << " is in shared memory, which is not supported; send its bytes");
    const auto announced = parameters.find("binary_data_size");
    const auto data = object.find("data");
    input.binary = announced != parameters.end();
    YEOUL_REQUIRE(input.binary != (data != object.end()),
                  what << " must have either 'data' or the parameter binary_data_size");
    if (input.binary) {
        const int64_t length = whole_number(*announced, "binary_data_size of " + what);
        YEOUL_REQUIRE(static_cast<uint64_t>(length) <= binary.size(),
                      what << " has binary_data_size " << length << ", but " << binary.size()
                           << " bytes are left in the body");
        const auto own = binary.first(static_cast<size_t>(length));
        binary = binary.subspan(static_cast<size_t>(length));
        if (bytes)
            split_elements(own, count, what, input);
        else
            YEOUL_REQUIRE(static_cast<uint64_t>(length) == static_cast<uint64_t>(count) * size,
                          what << " has " << length << " bytes, its shape takes "
                               << static_cast<uint64_t>(count) * size);
        return input;
    }
    YEOUL_REQUIRE(data->is_array(), "'data' of " << what << " must be an array");
    int64_t found = 0;
    flatten(*data, what, bytes, input, found);
    YEOUL_REQUIRE(found == count, what << " has " << found << " values, its shape takes " << count);
    return input;
}

InferOutput parse_output(const json& object, size_t number) {
    InferOutput output;
    output.name = required_text(object, "name", "output " + std::to_string(number));
    const std::string what = "output '" + output.name + "'";
    const json parameters = parameters_of(object, what);
    YEOUL_REQUIRE(!parameters.contains("shared_memory_region"),
                  what << " is in shared memory, which is not supported; take its bytes");
    if (const auto found = parameters.find("binary_data"); found != parameters.end())
        output.binary = flag(*found, "binary_data of " + what);
    if (const auto found = parameters.find("classification"); found != parameters.end())
        output.classification = whole_number(*found, "classification of " + what);
    return output;
}

/// Bytes of JSON in the body.
size_t json_length(std::span<const uint8_t> body, std::string_view header) {
    if (header.empty())
        return body.size();
    size_t length = 0;
    const auto [end, error] = std::from_chars(header.data(), header.data() + header.size(), length);
    YEOUL_REQUIRE(error == std::errc() && end == header.data() + header.size(),
                  "Inference-Header-Content-Length is '" << header << "', must be a whole number");
    YEOUL_REQUIRE(length <= body.size(), "Inference-Header-Content-Length is "
                                             << length << ", but the body has " << body.size()
                                             << " bytes");
    return length;
}

template <class Tensor>
void refuse_twice(const std::vector<Tensor>& tensors, const char* kind) {
    for (size_t i = 0; i < tensors.size(); ++i)
        for (size_t k = 0; k < i; ++k)
            YEOUL_REQUIRE(tensors[i].name != tensors[k].name,
                          kind << " '" << tensors[i].name << "' is given twice");
}

void parse_parameters(const json& body, InferRequest& request) {
    const json parameters = parameters_of(body, "the request");
    if (const auto found = parameters.find("binary_data_output"); found != parameters.end())
        request.binary_outputs = flag(*found, "binary_data_output");
    if (const auto found = parameters.find("timeout"); found != parameters.end())
        request.timeout_us = whole_number(*found, "timeout");
    if (const auto found = parameters.find("priority"); found != parameters.end())
        request.priority = whole_number(*found, "priority");
}

} // namespace

size_t element_bytes(std::string_view datatype) {
    for (const TypeSize& type : kTypes)
        if (type.name == datatype)
            return type.bytes;
    return 0;
}

InferRequest parse_infer_request(std::span<const uint8_t> body, std::string_view json_bytes) {
    const size_t length = json_length(body, json_bytes);
    InferRequest request;
    if (length == 0 && !json_bytes.empty()) {
        // A raw binary request: the body is the one element of a model's only input.
        request.binary_outputs = true;
        request.inputs.push_back(
            {.datatype = "BYTES", .shape = {1, 1}, .elements = {body}, .binary = true});
        return request;
    }
    const json parsed = parse_bounded_json({reinterpret_cast<const char*>(body.data()), length});
    YEOUL_REQUIRE(parsed.is_object(), "the request must be a JSON object");
    if (const auto id = parsed.find("id"); id != parsed.end() && !id->is_null())
        request.id = text_member(parsed, "id", "");
    parse_parameters(parsed, request);
    const json& inputs = array_member(parsed, "inputs");
    YEOUL_REQUIRE(!inputs.empty() && inputs.size() <= kMostInputs,
                  "the request has " << inputs.size() << " inputs, may have 1 to " << kMostInputs);
    std::span<const uint8_t> binary = body.subspan(length);
    for (const json& input : inputs)
        request.inputs.push_back(parse_input(input, request.inputs.size(), binary));
    YEOUL_REQUIRE(binary.empty(),
                  "the body has " << binary.size() << " bytes that belong to no input");
    if (parsed.contains("outputs")) {
        const json& outputs = array_member(parsed, "outputs");
        YEOUL_REQUIRE(outputs.size() <= kMostInputs, "the request asks for " << outputs.size()
                                                                             << " outputs, may for "
                                                                             << kMostInputs);
        for (const json& output : outputs)
            request.outputs.push_back(parse_output(output, request.outputs.size()));
    }
    refuse_twice(request.inputs, "input");
    refuse_twice(request.outputs, "output");
    return request;
}

} // namespace yeoul::serve

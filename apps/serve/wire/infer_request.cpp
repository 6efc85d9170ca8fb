#include "apps/serve/wire/infer_request.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <yeoul/error.h>

#include "apps/serve/wire/bounded_json.h"

namespace yeoul::serve {
namespace {

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
int64_t whole_number(const Json& value, const std::string& what) {
    int64_t number = -1;
    if (const int64_t* given = value.integer()) {
        number = *given;
    } else if (const std::string* text = value.string()) {
        const char* const last = text->data() + text->size();
        const auto [end, error] = std::from_chars(text->data(), last, number);
        YEOUL_REQUIRE(error == std::errc() && end == last && number >= 0,
                      what << " is '" << *text << "', must be a whole number");
    }
    YEOUL_REQUIRE(number >= 0, what << " must be a whole number, not negative");
    return number;
}

bool flag(const Json& value, const std::string& what) {
    YEOUL_REQUIRE(value.boolean() != nullptr, what << " must be true or false");
    return *value.boolean();
}

/// The parameters of `object` by name; all are absent when it has none.
class Parameters {
public:
    Parameters(const Json& object, const std::string& owner) : members_(object.find("parameters")) {
        YEOUL_REQUIRE(members_ == nullptr || members_->object() != nullptr,
                      "the parameters of " << owner << " must be an object");
    }
    const Json* find(const char* key) const { return members_ ? members_->find(key) : nullptr; }

private:
    const Json* members_;
};

const Json::Array& array_member(const Json& object, const char* key) {
    const Json* found = object.find(key);
    YEOUL_REQUIRE(found != nullptr && found->array() != nullptr,
                  "the request has no array '" << key << "'");
    return *found->array();
}

std::string required_text(const Json& object, const char* key, const std::string& owner) {
    YEOUL_REQUIRE(object.object() != nullptr, owner << " must be an object");
    const std::string text = text_member(object, key, "");
    YEOUL_REQUIRE(!text.empty(), owner << " has no '" << key << "'");
    return text;
}

std::vector<int64_t> parse_shape(const Json& input, const std::string& what) {
    std::vector<int64_t> shape;
    const Json::Array& extents = array_member(input, "shape");
    YEOUL_REQUIRE(!extents.empty() && extents.size() <= kMostRank,
                  what << " has " << extents.size() << " dimensions, may have 1 to " << kMostRank);
    for (const Json& extent : extents)
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
void flatten(const Json::Array& data, const std::string& what, bool texts, InferInput& input,
             int64_t& count) {
    for (const Json& value : data) {
        if (const Json::Array* inner = value.array()) {
            flatten(*inner, what, texts, input, count);
            continue;
        }
        ++count;
        const std::string* text = value.string();
        YEOUL_REQUIRE(texts ? text != nullptr : value.is_number() || value.boolean() != nullptr,
                      what << " has a value that is no " << (texts ? "string" : "number"));
        if (texts)
            input.texts.push_back(*text);
    }
}

/// Reads the tensors and takes what is binary off the front of `binary`.
InferInput parse_input(const Json& object, size_t number, std::span<const uint8_t>& binary) {
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
    const Parameters parameters(object, what);
    YEOUL_REQUIRE(parameters.find("shared_memory_region") == nullptr,
                  what << " is in shared memory, which is not supported; send its bytes");
    const Json* announced = parameters.find("binary_data_size");
    const Json* data = object.find("data");
    input.binary = announced != nullptr;
    YEOUL_REQUIRE(input.binary != (data != nullptr),
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
    YEOUL_REQUIRE(data->array() != nullptr, "'data' of " << what << " must be an array");
    int64_t found = 0;
    flatten(*data->array(), what, bytes, input, found);
    YEOUL_REQUIRE(found == count, what << " has " << found << " values, its shape takes " << count);
    return input;
}

InferOutput parse_output(const Json& object, size_t number) {
    InferOutput output;
    output.name = required_text(object, "name", "output " + std::to_string(number));
    const std::string what = "output '" + output.name + "'";
    const Parameters parameters(object, what);
    YEOUL_REQUIRE(parameters.find("shared_memory_region") == nullptr,
                  what << " is in shared memory, which is not supported; take its bytes");
    if (const Json* found = parameters.find("binary_data"))
        output.binary = flag(*found, "binary_data of " + what);
    if (const Json* found = parameters.find("classification"))
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

void parse_parameters(const Json& body, InferRequest& request) {
    const Parameters parameters(body, "the request");
    if (const Json* found = parameters.find("binary_data_output"))
        request.binary_outputs = flag(*found, "binary_data_output");
    if (const Json* found = parameters.find("timeout"))
        request.timeout_us = whole_number(*found, "timeout");
    if (const Json* found = parameters.find("priority"))
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
    const Json parsed = parse_bounded_json({reinterpret_cast<const char*>(body.data()), length});
    YEOUL_REQUIRE(parsed.object() != nullptr, "the request must be a JSON object");
    if (const Json* id = parsed.find("id"); id != nullptr && !id->is_null())
        request.id = text_member(parsed, "id", "");
    parse_parameters(parsed, request);
    const Json::Array& inputs = array_member(parsed, "inputs");
    YEOUL_REQUIRE(!inputs.empty() && inputs.size() <= kMostInputs,
                  "the request has " << inputs.size() << " inputs, may have 1 to " << kMostInputs);
    std::span<const uint8_t> binary = body.subspan(length);
    for (const Json& input : inputs)
        request.inputs.push_back(parse_input(input, request.inputs.size(), binary));
    YEOUL_REQUIRE(binary.empty(),
                  "the body has " << binary.size() << " bytes that belong to no input");
    if (parsed.find("outputs") != nullptr) {
        const Json::Array& outputs = array_member(parsed, "outputs");
        YEOUL_REQUIRE(outputs.size() <= kMostInputs, "the request asks for " << outputs.size()
                                                                             << " outputs, may for "
                                                                             << kMostInputs);
        for (const Json& output : outputs)
            request.outputs.push_back(parse_output(output, request.outputs.size()));
    }
    refuse_twice(request.inputs, "input");
    refuse_twice(request.outputs, "output");
    return request;
}

} // namespace yeoul::serve

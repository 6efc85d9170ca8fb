#include <doctest/doctest.h>
#include <functional>

#include <yeoul/error.h>

#include "apps/serve/wire/infer_request.h"

using namespace yeoul;
using namespace yeoul::serve;

namespace {

InferRequest infer_request_of(std::string_view body, std::string_view json_bytes = "") {
    return parse_infer_request({reinterpret_cast<const uint8_t*>(body.data()), body.size()},
                               json_bytes);
}

/// Parses `json` followed by `binary`, with the header that says where one ends.
InferRequest parse_binary(const std::string& json, const std::string& binary) {
    const std::string body = json + binary;
    return infer_request_of(body, std::to_string(json.size()));
}

std::string element(const std::string& bytes) {
    std::string length(4, '\0');
    for (int i = 0; i < 4; ++i)
        length[i] = static_cast<char>(bytes.size() >> (8 * i));
    return length + bytes;
}

std::string input(const std::string& members) {
    return R"({"inputs":[{"name":"IMAGE",)" + members + "}]}";
}

std::string bytes_input(const std::string& shape, size_t size) {
    return input(R"("datatype":"BYTES","shape":)" + shape +
                 R"(,"parameters":{"binary_data_size":)" + std::to_string(size) + "}");
}

std::string message_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::invalid_argument);
        return error.what();
    }
    return "nothing was thrown";
}

} // namespace

TEST_CASE("infer request: JSON tensors, nested or flat, with id, outputs and parameters") {
    const InferRequest request = infer_request_of(
        R"({"id":"42","parameters":{"binary_data_output":true,"timeout":"1500","priority":1,
        "anything":{"a":1}},"inputs":[{"name":"IMAGE","datatype":"BYTES","shape":[2,1],
        "data":[["a"],["b"]]},{"name":"x","datatype":"FP32","shape":[2,2],"data":[1,2.5,true,-4]}],
        "outputs":[{"name":"image_embeds",
        "parameters":{"binary_data":false,"classification":3}}]})");
    CHECK(request.id == "42");
    CHECK(request.binary_outputs);
    CHECK(request.timeout_us == 1500);
    CHECK(request.priority == 1);
    REQUIRE(request.inputs.size() == 2);
    CHECK(request.inputs[0].shape == std::vector<int64_t>{2, 1});
    CHECK(request.inputs[0].texts == std::vector<std::string>{"a", "b"});
    CHECK(!request.inputs[0].binary);
    CHECK(request.inputs[1].datatype == "FP32");
    REQUIRE(request.outputs.size() == 1);
    CHECK(request.outputs[0].binary == false);
    CHECK(request.outputs[0].classification == 3);
}

TEST_CASE("infer request: binary elements are where the body has them") {
    const std::string data = element("first") + element("") + element("third");
    const std::string json = bytes_input("[3,1]", data.size());
    const std::string body = json + data;
    const InferRequest request = infer_request_of(body, std::to_string(json.size()));
    REQUIRE(request.inputs[0].elements.size() == 3);
    const auto text = [&](size_t i) {
        const auto bytes = request.inputs[0].elements[i];
        return std::string(bytes.begin(), bytes.end());
    };
    CHECK(text(0) == "first");
    CHECK(text(1).empty());
    CHECK(text(2) == "third");
}

TEST_CASE("infer request: a JSON length of zero is a raw request of one element") {
    const InferRequest request = infer_request_of("the bare file", "0");
    REQUIRE(request.inputs.size() == 1);
    CHECK(request.inputs[0].elements.at(0).size() == 13);
    CHECK(request.binary_outputs);
}

TEST_CASE("infer request: a JSON length of the whole body is legal") {
    const std::string json = input(R"("datatype":"BYTES","shape":[1],"data":["a"])");
    CHECK(infer_request_of(json, std::to_string(json.size())).inputs.size() == 1);
}

TEST_CASE("infer request: the length of the JSON must be a number within the body") {
    for (const char* length : {"99999", "-1", "12x", "0x10", " 1", "18446744073709551616"}) {
        CAPTURE(length);
        CHECK(message_of([&] {
                  infer_request_of("{}", length);
              }).starts_with("Inference-Header-Content-Length is"));
    }
}

TEST_CASE("infer request: sizes that contradict each other name both") {
    const std::string one = element("abc");
    CHECK(message_of([&] {
              parse_binary(bytes_input("[1]", 100), one);
          }).find("binary_data_size 100, but 7 bytes are left") != std::string::npos);
    CHECK(message_of([&] {
              parse_binary(bytes_input("[1]", 7), one + "xx");
          }).find("2 bytes that belong to no input") != std::string::npos);
    CHECK(message_of([&] {
              parse_binary(bytes_input("[2]", 7), one);
          }).find("too few for 2 elements") != std::string::npos);
    CHECK(message_of([&] {
              parse_binary(bytes_input("[1]", 14), one + one);
          }).find("7 bytes behind its last element") != std::string::npos);
    CHECK(message_of([&] {
              parse_binary(bytes_input("[1]", 6), one.substr(0, 6));
          }).find("element 0 has 3 bytes, but 2 are left") != std::string::npos);
    std::string endless = one;
    endless[3] = '\xff';
    CHECK(message_of([&] {
              parse_binary(bytes_input("[1]", 7), endless);
          }).find("element 0 has 4278190083 bytes") != std::string::npos);
    CHECK(message_of([&] {
              parse_binary(input(R"("datatype":"FP32","shape":[2,3],
                                "parameters":{"binary_data_size":20})"),
                           std::string(20, 'x'));
          }).find("has 20 bytes, its shape takes 24") != std::string::npos);
    CHECK(message_of([&] {
              infer_request_of(input(R"("datatype":"BYTES","shape":[3],"data":["a"])"));
          }).find("has 1 values, its shape takes 3") != std::string::npos);
}

TEST_CASE("infer request: shapes that overflow are refused before anything is allocated") {
    for (const char* shape : {"[4294967296,4294967296]", "[9223372036854775807,2]",
                              "[1099511627777]", "[65536,65536,65536,65536]"}) {
        CAPTURE(shape);
        CHECK(message_of([&] {
                  parse_binary(bytes_input(shape, 0), "");
              }).find("over 1099511627776 elements") != std::string::npos);
    }
    CHECK(message_of([&] { parse_binary(bytes_input("[1000000000]", 0), ""); }).find("too few") !=
          std::string::npos);
}

TEST_CASE("infer request: each malformed request is refused") {
    const std::string good = R"("datatype":"BYTES","shape":[1],"data":["a"])";
    const std::string bodies[] = {
        "",
        "{",
        "[]",
        "null",
        "\xff\xfe",
        "{}",
        R"({"inputs":{}})",
        R"({"inputs":[]})",
        R"({"inputs":[1]})",
        R"({"inputs":[{}]})",
        R"({"inputs":[{"name":1}]})",
        input(R"("shape":[1],"data":["a"])"),
        input(R"("datatype":"JPEG","shape":[1],"data":["a"])"),
        input(R"("datatype":"bytes","shape":[1],"data":["a"])"),
        input(R"("datatype":"BYTES","data":["a"])"),
        input(R"("datatype":"BYTES","shape":[],"data":["a"])"),
        input(R"("datatype":"BYTES","shape":[-1],"data":["a"])"),
        input(R"("datatype":"BYTES","shape":[1.5],"data":["a"])"),
        input(R"("datatype":"BYTES","shape":[1,1,1,1,1,1,1,1,1],"data":["a"])"),
        input(R"("datatype":"BYTES","shape":[1])"),
        input(R"("datatype":"BYTES","shape":[1],"data":"a")"),
        input(R"("datatype":"BYTES","shape":[1],"data":[1])"),
        input(R"("datatype":"FP32","shape":[1],"data":["a"])"),
        input(R"("datatype":"BYTES","shape":[1],"data":["a"],"parameters":{"binary_data_size":0})"),
        input(R"("datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":-5})"),
        input(R"("datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":"x"})"),
        input(R"("datatype":"BYTES","shape":[1],"parameters":[])"),
        input(R"("datatype":"BYTES","shape":[1],"parameters":{"shared_memory_region":"r"})"),
        R"({"id":7,"inputs":[{"name":"IMAGE",)" + good + "}]}",
        R"({"inputs":[{"name":"IMAGE",)" + good + R"(},{"name":"IMAGE",)" + good + "}]}",
        R"({"inputs":[{"name":"IMAGE",)" + good + R"(}],"outputs":{}})",
        R"({"inputs":[{"name":"IMAGE",)" + good + R"(}],"outputs":[{"name":"a"},{"name":"a"}]})",
        R"({"inputs":[{"name":"IMAGE",)" + good + R"(}],"parameters":{"binary_data_output":1}})",
        R"({"inputs":[{"name":"IMAGE",)" + good + R"(}],"parameters":{"timeout":-1}})",
    };
    for (const std::string& body : bodies) {
        CAPTURE(body);
        CHECK(message_of([&] { infer_request_of(body); }) != "nothing was thrown");
    }
}

TEST_CASE("infer request: JSON bombs are refused by depth and by count") {
    CHECK(message_of([&] {
              infer_request_of(std::string(100000, '['));
          }).find("nested more than 32 levels") != std::string::npos);
    std::string wide = R"({"inputs":[)";
    for (int i = 0; i < 1'000'000; ++i)
        wide += "[],";
    CHECK(message_of([&] { infer_request_of(wide); }).find("more than 1000000 values") !=
          std::string::npos);
}

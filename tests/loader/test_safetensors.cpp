#include <doctest/doctest.h>

#include "tests/loader/file_helpers.h"
#include "tests/loader/safetensors_image.h"

namespace yeoul::loader {
namespace {

const std::string kHeader =
    R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
    R"("b":{"dtype":"U8","shape":[3],"data_offsets":[24,27]}})";
const std::string kData = "0123456789abcdefghijklmnXYZ";

Safetensors safetensors_of(const std::vector<std::byte>& bytes) {
    return Safetensors::parse(bytes, "file");
}

std::string safetensors_refusal(const std::string& image) {
    const auto bytes = exact_bytes(image);
    return error_of(ErrorCode::model, [&] { safetensors_of(bytes); });
}

std::string safetensors_refusal(const std::string& header, const std::string& data) {
    return safetensors_refusal(safetensors_image(header, data));
}

// The entry of one tensor.
std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
           "}";
}

TEST_CASE("safetensors: hands out names, dtypes, shapes, data and metadata") {
    const auto bytes = exact_bytes(safetensors_image(kHeader, kData));
    const Safetensors file = safetensors_of(bytes);
    REQUIRE(file.tensors().size() == 2);
    const TensorInfo* a = file.find("a");
    REQUIRE(a != nullptr);
    CHECK(a->name == "a");
    CHECK(a->dtype == "F32");
    CHECK(a->shape == std::vector<int64_t>{2, 3});
    CHECK(text_of(a->data) == "0123456789abcdefghijklmn");
    CHECK(text_of(file.find("b")->data) == "XYZ");
    CHECK(file.find("c") == nullptr);
    CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}});
    CHECK(file.files().empty());
}

TEST_CASE("safetensors: takes white space around the header, any order, scalars, empty tensors") {
    const std::string header = " \n\t{\"s\":" + entry("I64", "[]", "[2,10]") +
                               ",\"e\":" + entry("F32", "[0,7]", "[2,2]") +
                               ",\"h\":" + entry("BF16", "[1]", "[0,2]") + "}   ";
    const auto bytes = exact_bytes(safetensors_image(header, "hhssssssss"));
    const Safetensors file = safetensors_of(bytes);
    CHECK(file.find("s")->shape.empty());
    CHECK(text_of(file.find("s")->data) == "ssssssss");
    CHECK(file.find("e")->data.empty());
    CHECK(text_of(file.find("h")->data) == "hh");
    CHECK(safetensors_of(exact_bytes(safetensors_image("{}", ""))).tensors().empty());
}

TEST_CASE("safetensors: knows the size of every dtype of the format") {
    struct Known {
        const char* dtype;
        int elements, bytes;
    };
    for (const Known& known :
         {Known{"BOOL", 1, 1}, {"F4", 2, 1},          {"F6_E2M3", 4, 3},     {"F6_E3M2", 4, 3},
          {"U8", 1, 1},        {"I8", 1, 1},          {"F8_E5M2", 1, 1},     {"F8_E4M3", 1, 1},
          {"F8_E8M0", 1, 1},   {"F8_E4M3FNUZ", 1, 1}, {"F8_E5M2FNUZ", 1, 1}, {"I16", 1, 2},
          {"U16", 1, 2},       {"F16", 1, 2},         {"BF16", 1, 2},        {"I32", 1, 4},
          {"U32", 1, 4},       {"F32", 1, 4},         {"C64", 1, 8},         {"F64", 1, 8},
          {"I64", 1, 8},       {"U64", 1, 8}}) {
        CAPTURE(known.dtype);
        const std::string shape = "[" + std::to_string(known.elements) + "]";
        const std::string size = std::to_string(known.bytes);
        const std::string header = "{\"x\":" + entry(known.dtype, shape, "[0," + size + "]") + "}";
        const std::string data(static_cast<size_t>(known.bytes), 'x');
        CHECK(safetensors_of(exact_bytes(safetensors_image(header, data))).tensors().size() == 1);
        const std::string more =
            "{\"x\":" + entry(known.dtype, shape, "[0," + std::to_string(known.bytes + 1) + "]") +
            "}";
        CHECK(lacks(safetensors_refusal(more, data + "x"), "takes " + size + " bytes") == "");
    }
}

TEST_CASE("safetensors: refuses every header that breaks a rule, with the tensor's name") {
    const std::string f32 = entry("F32", "[1]", "[0,4]");
    struct Wrong {
        std::string header, data, part;
    };
    const std::vector<Wrong> all{
        {"", "", "not valid JSON"},
        {"   ", "", "not valid JSON"},
        {"[]", "", "its header is a list"},
        {"null", "", "its header is null"},
        {"{} {}", "", "not valid JSON at line 1, column 4"},
        {std::string("{}\0{", 4), "", "a zero byte at line 1, column 3"},
        {"{\"x\":" + f32 + ",}", "xxxx", "not valid JSON"},
        {"{\"x\":" + f32 + ",\"x\":" + f32 + "}", "xxxx", "\"x\" occurs twice"},
        {R"({"x":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "xxxx",
         "\"dtype\" occurs twice"},
        {"{\"x\xff\":" + f32 + "}", "xxxx", "not valid JSON"},
        {std::string(40, '[') + std::string(40, ']'), "", "nested more than 32 levels"},
        {"{\"x\":3}", "", "tensor \"x\" is 3 where an object must stand"},
        {R"({"x":{"shape":[1],"data_offsets":[0,4]}})", "xxxx", "tensor \"x\" has no dtype"},
        {R"({"x":{"dtype":7,"shape":[1],"data_offsets":[0,4]}})", "xxxx", "\"x\" has no dtype"},
        {"{\"x\":" + entry("F33", "[1]", "[0,4]") + "}", "xxxx", "unknown dtype \"F33\""},
        {"{\"x\":" + entry("f32", "[1]", "[0,4]") + "}", "xxxx", "unknown dtype \"f32\""},
        {R"({"x":{"dtype":"F32","data_offsets":[0,4]}})", "xxxx", "\"x\" has no shape"},
        {"{\"x\":" + entry("F32", "1", "[0,4]") + "}", "xxxx", "\"x\" has no shape"},
        {"{\"x\":" + entry("F32", "[-1]", "[0,4]") + "}", "xxxx", "has -1 in its shape"},
        {"{\"x\":" + entry("F32", "[1.0]", "[0,4]") + "}", "xxxx", "has 1 in its shape"},
        {"{\"x\":" + entry("F32", "[\"1\"]", "[0,4]") + "}", "xxxx", "has \"1\" in its shape"},
        {"{\"x\":" + entry("F32", "[18446744073709551616]", "[0,4]") + "}", "xxxx", "its shape"},
        {R"({"x":{"dtype":"F32","shape":[1]}})", "xxxx", "no data_offsets of two integers"},
        {"{\"x\":" + entry("F32", "[1]", "[0]") + "}", "xxxx", "no data_offsets of two"},
        {"{\"x\":" + entry("F32", "[1]", "[0,4,8]") + "}", "xxxx", "no data_offsets of two"},
        {"{\"x\":" + entry("F32", "[1]", "[-4,0]") + "}", "xxxx", "no data_offsets of two"},
        {"{\"x\":" + entry("F32", "[1]", "[0,4.5]") + "}", "xxxx", "no data_offsets of two"},
        {"{\"x\":" + entry("F32", "[1]", "[4,0]") + "}", "xxxx", "claims bytes 4 to 0 of 4"},
        {"{\"x\":" + entry("F32", "[2]", "[0,8]") + "}", "xxxx", "claims bytes 0 to 8 of 4"},
        {"{\"x\":" + entry("F32", "[2]", "[0,9223372036854775807]") + "}", "xxxx", "of 4"},
        {"{\"x\":" + entry("F32", "[2]", "[0,4]") + "}", "xxxx",
         "tensor \"x\" of shape (2) and dtype F32 takes 8 bytes and claims 0 to 4"},
        {"{\"x\":" + entry("F32", "[]", "[0,0]") + "}", "", "takes 4 bytes"},
        {"{\"x\":" + entry("F32", "[4294967296,4294967296]", "[0,0]") + "}", "", "in 64 bits"},
        {"{\"x\":" + entry("F32", "[4611686018427387904]", "[0,0]") + "}", "", "in 64 bits"},
        {"{\"x\":" + entry("F32", "[4294967296,4294967296,0]", "[0,0]") + "}", "", "in 64 bits"},
        {"{\"x\":" + entry("F4", "[3]", "[0,1]") + "}", "x", "no whole number of bytes"},
        {"{\"x\":" + entry("F6_E2M3", "[3]", "[0,2]") + "}", "xx", "no whole number of bytes"},
        {R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"strides":[1]}})", "x",
         "unknown entry \"strides\""},
        {"{}", "x", "cover 0 bytes of data and it has 1"},
        {"{\"x\":" + f32 + "}", "xxxxy", "cover 4 bytes of data and it has 5"},
        {"{\"x\":" + entry("U8", "[1]", "[1,2]") + "}", "-x",
         "bytes 0 to 1 before tensor \"x\" belong to no tensor"},
        {"{\"x\":" + entry("U8", "[1]", "[0,1]") + ",\"y\":" + entry("U8", "[1]", "[2,3]") + "}",
         "x-y", "bytes 1 to 2 before tensor \"y\""},
        {"{\"x\":" + entry("U8", "[2]", "[0,2]") + ",\"y\":" + entry("U8", "[2]", "[1,3]") + "}",
         "xxy", "tensor \"y\" overlaps tensor \"x\""},
        {"{\"x\":" + entry("U8", "[2]", "[0,2]") + ",\"y\":" + entry("U8", "[2]", "[0,2]") + "}",
         "xx", "overlaps"},
        {"{\"x\":" + entry("U8", "[2]", "[0,2]") + ",\"y\":" + entry("U8", "[0]", "[1,1]") + "}",
         "xx", "tensor \"y\" overlaps tensor \"x\""},
        {R"({"__metadata__":null})", "", "__metadata__ is null"},
        {R"({"__metadata__":["a"]})", "", "__metadata__ is a list"},
        {R"({"__metadata__":{"a":1}})", "", "__metadata__ entry \"a\" is 1"},
        {R"({"__metadata__":{"a":"1","a":"2"}})", "", "\"a\" occurs twice"},
    };
    for (const Wrong& wrong : all) {
        CAPTURE(wrong.header);
        const std::string message = safetensors_refusal(wrong.header, wrong.data);
        CHECK(lacks(message, wrong.part) == "");
        CHECK(message.rfind("file", 0) == 0);
    }
}

TEST_CASE("safetensors: refuses a header length beyond the file or the limit") {
    CHECK(lacks(safetensors_refusal(""), "it has 0 bytes") == "");
    CHECK(lacks(safetensors_refusal("1234567"), "it has 7 bytes") == "");
    const auto with_length = [](uint64_t length) {
        std::string image = safetensors_image("{}", "");
        std::memcpy(image.data(), &length, 8);
        return image;
    };
    CHECK(lacks(safetensors_refusal(with_length(3)),
                "header of 3 bytes is longer than the file of 10") == "");
    CHECK(lacks(safetensors_refusal(with_length(100'000'000)), "longer than the file") == "");
    CHECK(lacks(safetensors_refusal(with_length(100'000'001)), "above the limit of 100000000") ==
          "");
    CHECK(lacks(safetensors_refusal(with_length(UINT64_MAX)), "above the limit") == "");
}

TEST_CASE("safetensors: refuses a file cut at any byte") {
    const std::string image = safetensors_image(kHeader, kData);
    for (size_t size = 0; size < image.size(); ++size) {
        CAPTURE(size);
        CHECK(safetensors_refusal(image.substr(0, size)) != "");
    }
    CHECK(lacks(safetensors_refusal(image + "x"), "cover 27 bytes of data and it has 28") == "");
}

TEST_CASE("safetensors: one changed byte gives an error or the same data, never a crash") {
    const std::string image = safetensors_image(kHeader, kData);
    int accepted = 0;
    for (size_t at = 0; at < image.size() - kData.size(); ++at) {
        for (int value = 0; value < 256; ++value) {
            std::string changed = image;
            changed[at] = static_cast<char>(value);
            const auto bytes = exact_bytes(changed);
            try {
                const Safetensors file = safetensors_of(bytes);
                ++accepted;
                // A name, a metadata text or a dtype of the same size may change; the bytes of the
                // tensors may not.
                REQUIRE(file.tensors().size() <= 3);
                size_t covered = 0;
                for (const auto& [name, tensor] : file.tensors()) {
                    const bool first = tensor.data.data() == bytes.data() + image.size() - 27;
                    covered += tensor.data.size();
                    CHECK(text_of(tensor.data) == (first ? kData.substr(0, 24) : "XYZ"));
                    CHECK(tensor.shape ==
                          (first ? std::vector<int64_t>{2, 3} : std::vector<int64_t>{3}));
                }
                CHECK(covered == kData.size());
            } catch (const Error& error) {
                REQUIRE(error.code() == ErrorCode::model);
            }
        }
    }
    // At least the unchanged file at every place: the loop does reach the parser's end.
    CHECK(accepted >= static_cast<int>(8 + kHeader.size()));
}

TEST_CASE("safetensors: a hostile name is shown short and without control characters") {
    const std::string name = "\\u0000\\n\\u001b[2J" + std::string(1000, 'n');
    const std::string message = safetensors_refusal("{\"" + name + "\":1}", "");
    CHECK(message.size() < 300);
    CHECK(lacks(message, "\\x00\\x0a\\x1b[2J") == "");
    CHECK(message.find('\n') == std::string::npos);
}

TEST_CASE("safetensors: a file is mapped, dropped pages come back") {
    const ScratchDirectory scratch;
    const std::string data(40000, 'd');
    const std::string header = "{\"x\":" + entry("F32", "[100,100]", "[0,40000]") + "}";
    const auto path = put_file(scratch / "a.safetensors", safetensors_image(header, data));
    const Safetensors file = Safetensors::open_file(path);
    CHECK(file.files() == std::vector<std::filesystem::path>{path});
    file.drop(*file.find("x"));
    CHECK(text_of(file.find("x")->data) == data);
}

TEST_CASE("safetensors: a missing file is not_found, a broken one names itself") {
    const ScratchDirectory scratch;
    const auto missing = scratch / "none.safetensors";
    CHECK(lacks(error_of(ErrorCode::not_found, [&] { Safetensors::open_file(missing); }),
                "none.safetensors: No such file") == "");
    const auto broken = put_file(scratch / "broken.safetensors", "{}");
    CHECK(lacks(error_of(ErrorCode::model, [&] { Safetensors::open_file(broken); }),
                "broken.safetensors: it has 2 bytes") == "");
}

TEST_CASE("safetensors: views are made of the float dtypes, with shape and place") {
    const std::byte data[64]{};
    const TensorInfo weight{"w", "BF16", {2, 3, 1, 4}, std::span(data).first(48)};
    const View seen = view(weight);
    CHECK(seen.data == data);
    CHECK(seen.to_string() == "(2, 3, 1, 4) bf16");
    CHECK(view({"w", "F32", {1}, std::span(data).first(4)}).dtype == DType::f32);
    CHECK(view({"w", "F16", {1}, std::span(data).first(2)}).dtype == DType::f16);
    CHECK(view({"w", "F32", {}, std::span(data).first(4)}).rank == 0);
}

TEST_CASE("safetensors: views of other dtypes, five dimensions and huge extents are refused") {
    const auto message = [](const TensorInfo& tensor) {
        return error_of(ErrorCode::model, [&] { view(tensor); });
    };
    CHECK(lacks(message({"ids", "I64", {1}, {}}), "tensor \"ids\" is I64, weights must be") == "");
    CHECK(lacks(message({"w", "F64", {1}, {}}), "is F64") == "");
    CHECK(lacks(message({"w", "F8_E4M3", {1}, {}}), "is F8_E4M3") == "");
    CHECK(lacks(message({"w", "F32", {1, 1, 1, 1, 0}, {}}), "has 5 dimensions") == "");
    CHECK(lacks(message({"w", "F32", {0, 2147483648}, {}}), "an extent of 2147483648") == "");
    CHECK(view({"w", "F32", {0, 2147483647}, {}}).shape[1] == 2147483647);
}

} // namespace
} // namespace yeoul::loader

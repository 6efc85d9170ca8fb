#include <doctest/doctest.h>

#include "tests/loader/file_helpers.h"
#include "tests/loader/safetensors_image.h"

namespace yeoul::loader {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

TEST_CASE("safetensors writing: what is written is read back the same") {
    const ScratchDirectory scratch;
    const auto path = scratch / "a.safetensors";
    const std::map<std::string, std::string> metadata{{"format", "pt"}, {"path \"1\"", "a\nb\\"}};
    write_safetensors(path,
                      {{"z", "F32", {1, 2}, bytes_of("12345678")},
                       {"scalar", "I64", {}, bytes_of("abcdefgh")},
                       {"none", "F16", {0, 3}, {}},
                       {"a\t\xc3\xa9", "U8", {3}, bytes_of("xyz")}},
                      metadata);
    const Safetensors file = Safetensors::open_file(path);
    CHECK(file.metadata() == metadata);
    REQUIRE(file.tensors().size() == 4);
    CHECK(file.find("z")->shape == std::vector<int64_t>{1, 2});
    CHECK(text_of(file.find("z")->data) == "12345678");
    CHECK(file.find("scalar")->shape.empty());
    CHECK(file.find("scalar")->dtype == "I64");
    CHECK(file.find("none")->shape == std::vector<int64_t>{0, 3});
    CHECK(text_of(file.find("a\t\xc3\xa9")->data) == "xyz");
    CHECK(scratch.entries() == 1);
}

TEST_CASE("safetensors writing: data starts at a multiple of 8, in the order given") {
    const ScratchDirectory scratch;
    std::string name;
    for (int length = 1; length < 20; ++length) {
        name += 'n';
        write_safetensors(scratch / "a",
                          {{name, "U8", {2}, bytes_of("zz")}, {"a", "U8", {1}, bytes_of("a")}});
        const std::string content = file_content(scratch / "a");
        CHECK((content.size() - 3) % 8 == 0);
        CHECK(content.substr(content.size() - 3) == "zza");
    }
    write_safetensors(scratch / "empty", {});
    CHECK(file_content(scratch / "empty") == safetensors_image("{}      ", ""));
}

TEST_CASE("safetensors writing: paths that are not UTF-8 still give a readable file") {
    const ScratchDirectory scratch;
    write_safetensors(scratch / "a", {{"x", "U8", {0}, {}}}, {{"path.0", "caf\xe9.jpg"}});
    CHECK(Safetensors::open_file(scratch / "a").metadata().at("path.0") == "caf\xef\xbf\xbd.jpg");
}

TEST_CASE("safetensors writing: what would not be accepted again is the caller's fault") {
    const ScratchDirectory scratch;
    const auto message = [&](const std::vector<TensorToWrite>& tensors) {
        return error_of(ErrorCode::invalid_argument,
                        [&] { write_safetensors(scratch / "a", tensors); });
    };
    const auto one = bytes_of("x");
    CHECK(lacks(message({{"x", "U8", {1}, one}, {"x", "U8", {1}, one}}), "\"x\" is given twice") ==
          "");
    CHECK(lacks(message({{"x\xfe", "U8", {1}, one}, {"x\xff", "U8", {1}, one}}), "twice") == "");
    CHECK(lacks(message({{"__metadata__", "U8", {1}, one}}), "the name of the metadata") == "");
    CHECK(lacks(message({{"x", "float32", {1}, one}}), "unknown dtype \"float32\"") == "");
    CHECK(lacks(message({{"x", "U8", {2}, one}}), "shape [2] and dtype U8 comes with 1 bytes") ==
          "");
    CHECK(lacks(message({{"x", "U8", {-1}, one}}), "an extent of -1") == "");
    CHECK(lacks(message({{"x", "F32", {4611686018427387904}, {}}}), "comes with 0 bytes") == "");
    CHECK(scratch.entries() == 0);
}

TEST_CASE("safetensors writing: a full disk leaves an io error and no file") {
    const auto message = error_of(ErrorCode::io, [&] {
        write_safetensors("/dev/full", {{"x", "U8", {0}, {}}});
    });
    CHECK(lacks(message, "cannot write /dev/full: No space left on device") == "");
    const ScratchDirectory scratch;
    error_of(ErrorCode::io, [&] { write_safetensors(scratch / "none" / "a", {}); });
    CHECK(scratch.entries() == 0);
}

} // namespace
} // namespace yeoul::loader

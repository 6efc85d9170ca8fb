#include <doctest/doctest.h>

#include <yeoul/error.h>

#include "apps/serve/wire/base64.h"

using namespace yeoul;
using namespace yeoul::serve;

namespace {

std::string decoded(std::string_view text) {
    const std::vector<uint8_t> bytes = decode_base64(text);
    return {bytes.begin(), bytes.end()};
}

} // namespace

TEST_CASE("base64: the examples of RFC 4648 go both ways") {
    const std::pair<const char*, const char*> examples[] = {{"", ""},
                                                            {"f", "Zg=="},
                                                            {"fo", "Zm8="},
                                                            {"foo", "Zm9v"},
                                                            {"foob", "Zm9vYg=="},
                                                            {"fooba", "Zm9vYmE="},
                                                            {"foobar", "Zm9vYmFy"}};
    for (const auto& [bytes, text] : examples) {
        const std::string_view view(bytes);
        CHECK(encode_base64({reinterpret_cast<const uint8_t*>(view.data()), view.size()}) == text);
        CHECK(decoded(text) == bytes);
    }
    CHECK(decoded("Zg") == "f"); // padding may be left out
}

TEST_CASE("base64: every byte comes back") {
    std::vector<uint8_t> bytes;
    for (int i = 0; i < 1021; ++i)
        bytes.push_back(static_cast<uint8_t>(i * 7 + i / 256));
    CHECK(decode_base64(encode_base64(bytes)) == bytes);
}

TEST_CASE("base64: what is not base64 is refused") {
    for (const char* text : {"Zg=", "Z", "Z===", "Zh==", "Zm9=", "Zm 9v", "Zm9v\n", "Zm-_",
                             "Zm9\xff", "====", "Zg==Zg==", "Zm9vZ"})
        CHECK_THROWS_AS(decode_base64(text), Error);
}

TEST_CASE("base64: a data URI gives its bytes, whatever type it names") {
    CHECK(decode_data_uri("data:image/jpeg;base64,Zm9v").size() == 3);
    CHECK(decode_data_uri("DATA:;BASE64,Zm9v").size() == 3);
    CHECK(decode_data_uri("data:image/svg+xml;charset=utf-8;base64,Zm9v").size() == 3);
}

TEST_CASE("base64: what is no data URI of base64 is refused, and addresses with the reason") {
    for (const char* uri : {"", "Zm9v", "data:", "data:image/jpeg,Zm9v", "data:image/jpeg;base64",
                            "data:;base64x,Zm9v", "file:///etc/passwd"})
        CHECK_THROWS_AS(decode_data_uri(uri), Error);
    for (const char* uri : {"http://example.com/a.jpg", "HTTPS://example.com/a.jpg"})
        CHECK_THROWS_WITH(decode_data_uri(uri),
                          doctest::Contains("addresses are not fetched here"));
}

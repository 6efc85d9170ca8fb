#include <doctest/doctest.h>

#include <yeoul/error.h>

#include "apps/serve/wire/multipart.h"

using namespace yeoul;
using namespace yeoul::serve;

namespace {

std::vector<FormPart> parts_of(std::string_view body, size_t most = 8) {
    return parse_multipart({reinterpret_cast<const uint8_t*>(body.data()), body.size()}, "xyz",
                           most);
}

std::string text(std::span<const uint8_t> bytes) {
    return {bytes.begin(), bytes.end()};
}

const std::string kPart = "--xyz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n";

} // namespace

TEST_CASE("multipart: parts come in order with names, types and exact bytes") {
    const std::string binary("\r\n--xy\0\r\n--xyq", 14); // near misses of the boundary
    const std::string body =
        "preamble\r\n--xyz\r\nContent-Disposition: form-data; name=\"photo\"; "
        "filename=\"a \\\"b\\\".jpg\"\r\nContent-Type: IMAGE/JPEG; q=1\r\n\r\n" +
        binary +
        "\r\n--xyz  \r\ncontent-disposition:form-data;name=normalize\r\n\r\n1\r\n--xyz--epilogue";
    // "\r\n--xyq" differs from the boundary in its last character only.
    const std::vector<FormPart> parts = parts_of(body);
    REQUIRE(parts.size() == 2);
    CHECK(parts[0].name == "photo");
    CHECK(parts[0].filename == "a \"b\".jpg");
    CHECK(parts[0].has_filename);
    CHECK(parts[0].content_type == "image/jpeg");
    CHECK(text(parts[0].data) == binary);
    CHECK(parts[1].name == "normalize");
    CHECK(!parts[1].has_filename);
    CHECK(text(parts[1].data) == "1");
}

TEST_CASE("multipart: an empty part and an empty form are none of the malformed") {
    CHECK(parts_of(kPart + "\r\n--xyz--").at(0).data.empty());
    CHECK(parts_of("--xyz--").empty());
}

TEST_CASE("multipart: each malformed form is refused") {
    const std::string bodies[] = {
        "",
        "no boundary at all",
        "--xyz",
        "--xyz\r\n",
        kPart,
        kPart + "data",
        kPart + "data\r\n--xy",
        kPart + "data\r\n--xyzq\r\n", // no line end after the boundary
        "--xyz\r\nContent-Disposition: form-data; name=a\r\n--xyz--", // no end of the head
        "--xyz\r\n\r\ndata\r\n--xyz--",                               // no disposition
        "--xyz\r\nContent-Disposition: form-data\r\n\r\nd\r\n--xyz--",
        "--xyz\r\nContent-Disposition: attachment; name=a\r\n\r\nd\r\n--xyz--",
        "--xyz\r\nnonsense\r\n\r\nd\r\n--xyz--",
        "--xyz\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: "
        "base64\r\n\r\nZg==\r\n--xyz--",
        "--xyz\r\nX: " + std::string(9000, 'y') + "\r\n\r\nd\r\n--xyz--",
    };
    for (const std::string& body : bodies) {
        CAPTURE(body.substr(0, 100));
        CHECK_THROWS_AS(parts_of(body), Error);
    }
}

TEST_CASE("multipart: the form's parts are counted, and one too many is refused") {
    std::string body;
    for (int i = 0; i < 3; ++i)
        body += kPart + "d\r\n";
    body += "--xyz--";
    CHECK(parts_of(body, 3).size() == 3);
    CHECK_THROWS_WITH(parts_of(body, 2), doctest::Contains("over 2 parts"));
}

TEST_CASE("multipart: the boundary comes from the type, quoted or not") {
    CHECK(multipart_boundary("multipart/form-data; boundary=xyz") == "xyz");
    CHECK(multipart_boundary("multipart/form-data; charset=utf-8; BOUNDARY=\"a b\"") == "a b");
    CHECK_THROWS_AS(multipart_boundary("multipart/form-data"), Error);
    CHECK_THROWS_AS(multipart_boundary("multipart/form-data; boundary="), Error);
    CHECK_THROWS_AS(multipart_boundary("multipart/form-data; boundary=" + std::string(71, 'x')),
                    Error);
}

TEST_CASE("multipart: a body of line ends costs no more than another") {
    // A search that starts afresh at every CR would take minutes.
    std::string body = "--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\n";
    for (int i = 0; i < 1 << 20; ++i)
        body += "\r\n--xy";
    CHECK(parts_of(body + "\r\n--xyz--").size() == 1);
}

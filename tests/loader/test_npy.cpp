#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "loader/npy.h"
#include "tests/loader/file_helpers.h"

namespace yeoul::loader {
namespace {

TEST_CASE("npy: version 1.0, padded to 64 bytes, then the rows") {
    const ScratchDirectory scratch;
    const std::vector<float> values{0.0f, -1.5f, 2.25f, 1e-30f, 3.0f, 4.0f};
    write_npy(scratch / "a.npy", values, 2, 3);
    const std::string content = file_content(scratch / "a.npy");
    REQUIRE(content.size() == 128 + 24);
    const std::string start("\x93NUMPY\x01\x00\x76\x00", 10);
    CHECK(content.substr(0, 10) == start);
    const std::string description = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    CHECK(content.substr(10, 118) ==
          description + std::string(117 - description.size(), ' ') + "\n");
    CHECK(std::memcmp(content.data() + 128, values.data(), 24) == 0);
    CHECK(scratch.entries() == 1);
}

TEST_CASE("npy: the header is a multiple of 64 for every length of the shape") {
    const ScratchDirectory scratch;
    for (int rows = 1; rows <= 1'000'000; rows *= 10) {
        const std::vector<float> values(static_cast<size_t>(rows), 1.0f);
        write_npy(scratch / "a.npy", values, rows, 1);
        const std::string content = file_content(scratch / "a.npy");
        CHECK((content.size() - values.size() * 4) % 64 == 0);
        CHECK(content[content.size() - values.size() * 4 - 1] == '\n');
    }
}

TEST_CASE("npy: no rows is a file too, and a wrong count is the caller's fault") {
    const ScratchDirectory scratch;
    write_npy(scratch / "empty.npy", {}, 0, 512);
    CHECK(lacks(file_content(scratch / "empty.npy"), "(0, 512)") == "");
    const std::vector<float> values(5);
    CHECK(lacks(error_of(ErrorCode::invalid_argument,
                         [&] { write_npy(scratch / "x.npy", values, 2, 3); }),
                "2 x 3 comes with 5 values") == "");
    error_of(ErrorCode::invalid_argument, [&] { write_npy(scratch / "x.npy", values, -1, -5); });
    CHECK(scratch.entries() == 1);
}

} // namespace
} // namespace yeoul::loader

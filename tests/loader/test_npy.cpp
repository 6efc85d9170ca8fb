#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "loader/narrow.h"
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

TEST_CASE("npy: what was written is read, float16 and version 2 as well") {
    const ScratchDirectory scratch;
    const std::vector<float> values{0.0f, -1.5f, 2.25f, 1e-30f, 3.0f, 4.0f};
    write_npy(scratch / "a.npy", values, 2, 3);
    const Matrix matrix = read_npy(scratch / "a.npy");
    CHECK(matrix.rows == 2);
    CHECK(matrix.dim == 3);
    CHECK(matrix.values == values);
    const std::string header = "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 4), }\n";
    const std::string prelude("\x93NUMPY\x02\x00\x3c\x00\x00\x00", 12);
    REQUIRE(header.size() == 0x3c);
    // 1, -2, the least subnormal, the largest finite value
    put_file(scratch / "half.npy",
             prelude + header + std::string("\x00\x3c\x00\xc0\x01\x00\xff\x7b", 8));
    CHECK(read_npy(scratch / "half.npy").values ==
          std::vector<float>{1.0f, -2.0f, 0x1p-24f, 65504.0f});
}

TEST_CASE("npy: a file that is no matrix of floats is refused by what it is") {
    const ScratchDirectory scratch;
    const auto refusal = [&](const std::string& header, const std::string& data) {
        std::string prelude("\x93NUMPY\x01\x00", 8);
        prelude += static_cast<char>(header.size());
        prelude += '\0';
        put_file(scratch / "a.npy", prelude + header + data);
        return error_of(ErrorCode::invalid_argument, [&] { read_npy(scratch / "a.npy"); });
    };
    const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
    const auto with = [&](const std::string& from, const std::string& to) {
        std::string header = good;
        return refusal(header.replace(header.find(from), from.size(), to), std::string(8, 'x'));
    };
    CHECK(lacks(with("<f4", "<f8"), "not of little-endian float32") == "");
    CHECK(lacks(with("False", "True"), "Fortran order") == "");
    CHECK(lacks(with("(1, 2)", "(2,)"), "not a matrix") == "");
    CHECK(lacks(with("(1, 2)", "(1, 2, 1)"), "not a matrix") == "");
    CHECK(lacks(with("(1, 2)", "(1, 99999999999)"), "not a matrix") == "");
    CHECK(lacks(with("(1, 2)", "(3, 2)"), "before its last vector") == "");
    CHECK(lacks(refusal(good, "short"), "before its last vector") == "");
    put_file(scratch / "b.npy", "text");
    CHECK(lacks(error_of(ErrorCode::invalid_argument, [&] { read_npy(scratch / "b.npy"); }),
                "is no .npy") == "");
    put_file(scratch / "c.npy", std::string("\x93NUMPY\x01\x00\xff\xff{}", 12));
    CHECK(lacks(error_of(ErrorCode::invalid_argument, [&] { read_npy(scratch / "c.npy"); }),
                "within its header") == "");
    error_of(ErrorCode::not_found, [&] { read_npy(scratch / "none.npy"); });
}

TEST_CASE("narrow: every fp16 and bf16 number comes back from its float") {
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
        const auto half = static_cast<uint16_t>(bits);
        if ((bits & 0x7c00) != 0x7c00)
            REQUIRE(to_fp16(from_fp16(half)) == half);
        if ((bits & 0x7f80) != 0x7f80)
            REQUIRE(to_bf16(from_bf16(half)) == half);
    }
    CHECK(std::isinf(from_fp16(0xfc00)));
    CHECK(std::isnan(from_fp16(0x7e00)));
    CHECK(from_fp16(0x8001) == -0x1p-24f);
}

} // namespace
} // namespace yeoul::loader

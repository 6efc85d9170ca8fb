#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/convert.h"
#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

// All 65536 bit patterns, at an odd address.
std::vector<std::byte> all_halves() {
    std::vector<std::byte> bytes(1 + 2 * 65536);
    for (uint32_t bits = 0; bits < 65536; ++bits) {
        const auto half = static_cast<uint16_t>(bits);
        std::memcpy(bytes.data() + 1 + 2 * bits, &half, sizeof half);
    }
    return bytes;
}

void check_all(DType dtype) {
    const auto bytes = all_halves();
    std::vector<float> y(65536);
    to_fp32(bytes.data() + 1, dtype, y.size(), y.data());
    const auto expected = decode({bytes.begin() + 1, bytes.end()}, dtype);
    int wrong = 0;
    for (size_t i = 0; i < y.size(); ++i)
        wrong += std::isnan(expected[i]) ? !std::isnan(y[i])
                                         : std::memcmp(&y[i], &expected[i], sizeof(float)) != 0;
    CHECK(wrong == 0);
}

} // namespace

TEST_CASE("cpu convert: every fp16 number becomes the same fp32 number") {
    check_all(DType::f16);
}

TEST_CASE("cpu convert: every bf16 number becomes the same fp32 number") {
    check_all(DType::bf16);
}

TEST_CASE("cpu convert: rounding to bf16 is to nearest, ties to even, and keeps NaN") {
    const auto rounded = [](float value) {
        Bf16 y;
        store(value, &y);
        return load(&y);
    };
    CHECK(rounded(1 + 0x1p-8F) == 1);                      // a tie, to even
    CHECK(rounded(1 + 0x3p-8F) == 1 + 0x1p-6F);            // a tie, to even
    CHECK(rounded(1 + 0x1p-8F + 0x1p-20F) == 1 + 0x1p-7F); // above the tie
    CHECK(rounded(-3) == -3);
    CHECK(rounded(INFINITY) == INFINITY);
    CHECK(rounded(3.4e38F) == INFINITY);
    CHECK(std::isnan(rounded(NAN)));
    uint32_t bits = 0x7f800001; // a NaN whose upper half alone is infinity
    float value;
    std::memcpy(&value, &bits, sizeof value);
    CHECK(std::isnan(rounded(value)));
}

TEST_CASE("cpu convert: other dtypes are no weights") {
    float y = 0;
    CHECK(contains(error_of(ErrorCode::invalid_argument, [&] { to_fp32(&y, DType::u8, 1, &y); }),
                   "uint8"));
}

// half on the host, bit by bit.
#include <cmath>
#include <cstdint>
#include <cstring>

#include <doctest/doctest.h>

#include "tests/simt/device.h"

namespace {

double value_of(unsigned bits) {
    const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    double magnitude =
        exponent == 0 ? mantissa * 0x1p-24 : std::ldexp(1024 + mantissa, exponent - 25);
    if (exponent == 31)
        magnitude = mantissa != 0 ? std::nan("") : INFINITY;
    return bits & 0x8000 ? -magnitude : magnitude;
}

half from_bits(unsigned bits) {
    return __ushort_as_half(static_cast<unsigned short>(bits));
}

// The half nearest to a finite magnitude, of two the one with an even last bit: bits of one sign
// ascend with their values, so the neighbours are next to each other.
unsigned nearest(double value) {
    const unsigned sign = std::signbit(value) ? 0x8000U : 0;
    const double magnitude = std::fabs(value);
    if (magnitude >= 65520)
        return sign | 0x7c00;
    unsigned low = 0, high = 0x7bff;
    while (low < high) { // the largest not above it
        const unsigned middle = (low + high + 1) / 2;
        if (value_of(middle) <= magnitude)
            low = middle;
        else
            high = middle - 1;
    }
    if (low == 0x7bff)
        return sign | low;
    const double below = magnitude - value_of(low), above = value_of(low + 1) - magnitude;
    if (above < below || (above == below && low % 2 != 0))
        ++low;
    return sign | low;
}

uint32_t g_random = 12345;
unsigned random_bits() {
    g_random = g_random * 1664525U + 1013904223U;
    return g_random >> 16;
}

} // namespace

TEST_CASE("half: every one of 65536 has its value and comes back from float") {
    int wrong = 0;
    for (unsigned bits = 0; bits < 65536; ++bits) {
        const float value = __half2float(from_bits(bits));
        if (std::isnan(value_of(bits))) {
            wrong += !std::isnan(value) || !std::isnan(__half2float(__float2half_rn(value)));
            continue;
        }
        wrong += static_cast<double>(value) != value_of(bits);
        wrong += __half_as_ushort(__float2half_rn(value)) != bits;
    }
    CHECK(wrong == 0);
}

TEST_CASE("half: between every two neighbours floats round to nearest, ties to even") {
    int wrong = 0;
    for (unsigned bits = 0; bits < 0x7bff; ++bits) {
        const auto middle = static_cast<float>((value_of(bits) + value_of(bits + 1)) / 2);
        const float around[] = {std::nextafter(middle, 0.0F), middle,
                                std::nextafter(middle, INFINITY)};
        const unsigned expected[] = {bits, bits + bits % 2, bits + 1};
        for (int i = 0; i < 3; ++i) {
            wrong += __half_as_ushort(__float2half_rn(around[i])) != expected[i];
            wrong += __half_as_ushort(__float2half_rn(-around[i])) != (expected[i] | 0x8000);
        }
    }
    CHECK(wrong == 0);
    CHECK(__half_as_ushort(__float2half_rn(65519.99F)) == 0x7bff);
    CHECK(__half_as_ushort(__float2half_rn(65520.0F)) == 0x7c00);
}

TEST_CASE("half: sums, products, quotients and fma round once") {
    int wrong = 0;
    for (int i = 0; i < 200000; ++i) {
        const unsigned a = random_bits(), b = random_bits(), c = random_bits();
        const double x = value_of(a), y = value_of(b), z = value_of(c);
        if (!std::isfinite(x) || !std::isfinite(y) || !std::isfinite(z))
            continue;
        const auto check = [&](half result, double exact) {
            if (std::isfinite(exact) && exact != 0)
                wrong += __half_as_ushort(result) != nearest(exact);
        };
        check(from_bits(a) + from_bits(b), x + y);
        check(from_bits(a) - from_bits(b), x - y);
        check(from_bits(a) * from_bits(b), x * y);
        if (y != 0) // a quotient is not exact in fp64, but no tie of fp16 is within its rounding
            check(from_bits(a) / from_bits(b), x / y);
        // Exact here where it matters: what fp64 drops of the sum is far below a tie of fp16.
        check(__hfma(from_bits(a), from_bits(b), from_bits(c)), x * y + z);
        const half2 pair =
            __hfma2(make_half2(from_bits(a), from_bits(b)), make_half2(from_bits(b), from_bits(c)),
                    make_half2(from_bits(c), from_bits(a)));
        check(__low2half(pair), x * y + z);
        check(__high2half(pair), y * z + x);
    }
    CHECK(wrong == 0);
}

TEST_CASE("half: fma near a tie rounds the exact value, not a float of it") {
    // 1 + 2^-11 is a tie; 2^-24 above it must round up, though a float of the sum is the tie.
    const half one = 1.0F, tie = 0x1p-11F, least = 0x1p-24F;
    CHECK(__half_as_ushort(__hfma(one, tie, one)) == __half_as_ushort(one));
    const half slightly_more = __float2half_rn(0x1p-11F + 0x1p-21F);
    CHECK(__half_as_ushort(__hfma(one, slightly_more, one)) == __half_as_ushort(one) + 1);
    CHECK(__half_as_ushort(__hfma(least, least, one)) == __half_as_ushort(one));
    CHECK(__hmax(__ushort_as_half(0x7e00), one) == one);
}

TEST_CASE("half: byte and dot-product functions") {
    CHECK(__dp4a(0x7f80ff01, 0x02020202, 10) == 10 + 2 * (127 - 128 - 1 + 1));
    CHECK(__byte_perm(0x33221100, 0x77665544, 0x7410) == 0x77441100);
    CHECK(__byte_perm(0x80000000, 0, 0xbbbb) == 0xffffffff);
    CHECK(__funnelshift_r(0x11223344, 0x55667788, 8) == 0x88112233);
}

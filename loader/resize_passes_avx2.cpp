// The AVX2 variants. Only these functions are compiled for AVX2, by attribute, so nothing else of
// this file can run on a processor without it.
#include "loader/resize_passes.h"

#if defined(__x86_64__)
#include <cstring>
#include <immintrin.h>

#define YEOUL_AVX2 __attribute__((target("avx2")))

namespace yeoul::loader {
namespace {

/// high * 65536 + low, rounded to a pixel's integer but not yet clipped.
YEOUL_AVX2 inline __m256i rounded(__m256i high, __m256i low) {
    const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, 16), low);
    return _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(kHalf)), kWeightBits);
}

} // namespace

YEOUL_AVX2 void horizontal_avx2(const uint8_t* x, int x_first, const AxisWeights& weights,
                                int first, int last, uint8_t* y) {
    // Four pixels of 3 bytes stand in the low 12 bytes of each lane. As 16-bit pairs:
    // r0 r1 g0 g1 b0 b1 - - and r2 r3 g2 g3 b2 b3 - -.
    const __m256i pixels_01 = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
    const __m256i pixels_23 = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
    const int groups = weights.groups;
    const int* begin = weights.window.begin.data();
    const int16_t* w = weights.packed.data() + static_cast<size_t>(first) * groups * 2 * kTapGroup;
    for (int i = first; i < last; ++i) {
        const uint8_t* pixel = x + static_cast<size_t>(begin[i] - x_first) * 3;
        __m256i high = _mm256_setzero_si256(), low = _mm256_setzero_si256();
        for (int group = 0; group < groups; ++group, pixel += 24, w += 2 * kTapGroup) {
            const __m256i eight = _mm256_inserti128_si256(
                _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(pixel))),
                _mm_loadu_si128(reinterpret_cast<const __m128i*>(pixel + 12)), 1);
            const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
            const __m256i a = _mm256_shuffle_epi8(eight, pixels_01);
            const __m256i b = _mm256_shuffle_epi8(eight, pixels_23);
            high = _mm256_add_epi32(
                high, _mm256_add_epi32(_mm256_madd_epi16(a, _mm256_shuffle_epi32(pairs, 0x00)),
                                       _mm256_madd_epi16(b, _mm256_shuffle_epi32(pairs, 0x55))));
            low = _mm256_add_epi32(
                low, _mm256_add_epi32(_mm256_madd_epi16(a, _mm256_shuffle_epi32(pairs, 0xaa)),
                                      _mm256_madd_epi16(b, _mm256_shuffle_epi32(pairs, 0xff))));
        }
        const __m256i lanes = _mm256_add_epi32(_mm256_slli_epi32(high, 16), low);
        __m128i sum =
            _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
        sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(kHalf)), kWeightBits);
        sum = _mm_packs_epi32(sum, sum);
        const int rgb = _mm_cvtsi128_si32(_mm_packus_epi16(sum, sum));
        std::memcpy(y + 3 * static_cast<size_t>(i), &rgb, sizeof rgb);
    }
}

YEOUL_AVX2 void vertical_avx2(const uint8_t* const* rows, const AxisWeights& weights, int output,
                              int bytes, uint8_t* y) {
    const __m256i zero = _mm256_setzero_si256();
    const int16_t* w =
        weights.packed.data() + static_cast<size_t>(output) * weights.groups * 2 * kTapGroup;
    const int pairs = (weights.window.size[output] + 1) / 2;
    for (int begin = 0; begin < bytes; begin += kRowChunkBytes) {
        __m256i high[4] = {zero, zero, zero, zero}, low[4] = {zero, zero, zero, zero};
        for (int pair = 0; pair < pairs; ++pair) {
            const int16_t* place = w + pair / 4 * 16 + pair % 4 / 2 * 8 + pair % 2 * 2;
            int32_t high_pair, low_pair;
            std::memcpy(&high_pair, place, sizeof high_pair);
            std::memcpy(&low_pair, place + 4, sizeof low_pair);
            const __m256i wh = _mm256_set1_epi32(high_pair), wl = _mm256_set1_epi32(low_pair);
            const __m256i a =
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[2 * pair] + begin));
            const __m256i b =
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[2 * pair + 1] + begin));
            const __m256i front = _mm256_unpacklo_epi8(a, b), back = _mm256_unpackhi_epi8(a, b);
            const __m256i columns[4] = {
                _mm256_unpacklo_epi8(front, zero), _mm256_unpackhi_epi8(front, zero),
                _mm256_unpacklo_epi8(back, zero), _mm256_unpackhi_epi8(back, zero)};
            for (int part = 0; part < 4; ++part) {
                high[part] = _mm256_add_epi32(high[part], _mm256_madd_epi16(columns[part], wh));
                low[part] = _mm256_add_epi32(low[part], _mm256_madd_epi16(columns[part], wl));
            }
        }
        // Packing undoes the unpacking within each lane.
        const __m256i pixels = _mm256_packus_epi16(
            _mm256_packs_epi32(rounded(high[0], low[0]), rounded(high[1], low[1])),
            _mm256_packs_epi32(rounded(high[2], low[2]), rounded(high[3], low[3])));
        if (bytes - begin >= kRowChunkBytes) {
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + begin), pixels);
        } else {
            uint8_t chunk[kRowChunkBytes];
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(chunk), pixels);
            std::memcpy(y + begin, chunk, static_cast<size_t>(bytes - begin));
        }
    }
}

} // namespace yeoul::loader
#endif

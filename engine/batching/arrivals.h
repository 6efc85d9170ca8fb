// When photos arrive, for the simulator: reproducible traffic of several shapes.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace yeoul::batching {

struct AlbumArrival {
    int64_t at_ns = 0;
    int photos = 1;
};

enum class Traffic {
    poisson, // single photos, independent
    bursty,  // single photos, gamma gaps with a coefficient of variation of 2.5
    on_off,  // single photos; Poisson for 100 ms on average, silence for 300 ms on average
    albums,  // 30 users, each sending albums of 20 to 100 photos with exponential pauses
};

/// The n-th number of stream `stream` of `seed`: a hash, so any order gives the same numbers.
uint64_t counted_random(uint64_t seed, uint64_t stream, uint64_t n);

/// At least `photos` photos at a mean of `per_second`, in order of time. The same seed at another
/// rate gives the same traffic at another speed (but for the on and off times).
std::vector<AlbumArrival> arrivals(Traffic traffic, double per_second, int64_t photos,
                                   uint64_t seed);

/// Lines "seconds photos" in order of time; `#` starts a comment. Throws `Error`, code
/// `invalid_argument`.
std::vector<AlbumArrival> read_trace(std::string_view text);
/// The trace, made faster or slower until its mean is `per_second`.
std::vector<AlbumArrival> at_rate(std::vector<AlbumArrival> trace, double per_second);
double mean_per_second(const std::vector<AlbumArrival>& arrivals);

} // namespace yeoul::batching

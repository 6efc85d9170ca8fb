#include "engine/batching/arrivals.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <yeoul/error.h>

namespace yeoul::batching {
namespace {

constexpr double kBurstyVariation = 2.5;
constexpr double kOnSeconds = 0.1, kOffSeconds = 0.3;
constexpr int kUsers = 30, kLeastAlbum = 20, kMostAlbum = 100;

uint64_t mixed(uint64_t x) { // splitmix64's finalizer
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

class Draw {
public:
    Draw(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}
    double uniform() { // in (0, 1)
        return (static_cast<double>(counted_random(seed_, stream_, n_++) >> 11) + 0.5) * 0x1p-53;
    }
    double exponential(double mean) { return -mean * std::log(uniform()); }
    double normal() {
        const double radius = std::sqrt(-2 * std::log(uniform()));
        return radius * std::cos(2 * M_PI * uniform());
    }
    /// Marsaglia and Tsang, "A simple method for generating gamma variables" (2000); for a shape
    /// under 1 by the power of a uniform number.
    double gamma(double shape, double mean) {
        const double boost = shape < 1 ? std::pow(uniform(), 1 / shape) : 1;
        const double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3, c = 1 / std::sqrt(9 * d);
        for (;;) {
            const double x = normal(), v = std::pow(1 + c * x, 3);
            if (v > 0 && std::log(uniform()) < 0.5 * x * x + d - d * v + d * std::log(v))
                return d * v * boost * mean / shape;
        }
    }

private:
    uint64_t seed_, stream_, n_ = 0;
};

int64_t nanoseconds(double seconds) {
    return std::llround(seconds * 1e9);
}

std::vector<AlbumArrival> albums(double per_second, int64_t photos, uint64_t seed) {
    const double pause = kUsers * (kLeastAlbum + kMostAlbum) / 2.0 / per_second;
    std::vector<AlbumArrival> all;
    for (uint64_t user = 0; user < kUsers; ++user) {
        Draw draw(seed, user + 1);
        double seconds = 0;
        // Each sends its share and a tenth more; what is too many in the end is cut off below.
        for (int64_t sent = 0; sent < photos / kUsers * 11 / 10 + 10 * kMostAlbum;) {
            seconds += draw.exponential(pause);
            const int count =
                kLeastAlbum + static_cast<int>(draw.uniform() * (kMostAlbum - kLeastAlbum + 1));
            all.push_back({nanoseconds(seconds), count});
            sent += count;
        }
    }
    std::sort(all.begin(), all.end(), [](const AlbumArrival& a, const AlbumArrival& b) {
        return a.at_ns != b.at_ns ? a.at_ns < b.at_ns : a.photos < b.photos;
    });
    int64_t total = 0;
    size_t kept = 0;
    while (kept < all.size() && total < photos)
        total += all[kept++].photos;
    all.resize(kept);
    return all;
}

} // namespace

uint64_t counted_random(uint64_t seed, uint64_t stream, uint64_t n) {
    return mixed(mixed(mixed(seed) ^ stream) ^ n);
}

std::vector<AlbumArrival> arrivals(Traffic traffic, double per_second, int64_t photos,
                                   uint64_t seed) {
    YEOUL_REQUIRE(per_second > 0, per_second << " photos per second");
    if (traffic == Traffic::albums)
        return albums(per_second, photos, seed);
    Draw draw(seed, 0);
    std::vector<AlbumArrival> all;
    all.reserve(static_cast<size_t>(photos));
    const double busy = kOnSeconds / (kOnSeconds + kOffSeconds);
    double seconds = 0, on_until = draw.exponential(kOnSeconds);
    while (static_cast<int64_t>(all.size()) < photos) {
        if (traffic == Traffic::poisson)
            seconds += draw.exponential(1 / per_second);
        else if (traffic == Traffic::bursty)
            seconds += draw.gamma(1 / (kBurstyVariation * kBurstyVariation), 1 / per_second);
        else
            seconds += draw.exponential(busy / per_second);
        while (traffic == Traffic::on_off && seconds > on_until) {
            const double off = draw.exponential(kOffSeconds);
            seconds += off;
            on_until += off + draw.exponential(kOnSeconds);
        }
        all.push_back({nanoseconds(seconds), 1});
    }
    return all;
}

std::vector<AlbumArrival> read_trace(std::string_view text) {
    std::vector<AlbumArrival> all;
    for (int line = 1; !text.empty(); ++line) {
        const size_t end = std::min(text.find('\n'), text.size());
        std::string_view words = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        words = words.substr(0, words.find('#'));
        const auto skip = [&words] {
            words.remove_prefix(std::min(words.find_first_not_of(" \t\r"), words.size()));
        };
        const auto read = [&words](auto& into) {
            const auto [rest, error] = std::from_chars(words.begin(), words.end(), into);
            words.remove_prefix(static_cast<size_t>(rest - words.begin()));
            return error == std::errc();
        };
        skip();
        if (words.empty())
            continue;
        double seconds = 0;
        int photos = 0;
        bool good = read(seconds);
        skip();
        good = good && read(photos);
        skip();
        good = good && words.empty() && seconds >= 0 && seconds < 1e7 && photos > 0 &&
               photos <= 1'000'000 && (all.empty() || nanoseconds(seconds) >= all.back().at_ns);
        YEOUL_REQUIRE(good, "line " << line
                                    << " of the trace is not \"seconds photos\" in order of time");
        all.push_back({nanoseconds(seconds), photos});
    }
    YEOUL_REQUIRE(all.size() >= 2 && all.back().at_ns > all.front().at_ns,
                  "the trace needs two lines at different times");
    return all;
}

double mean_per_second(const std::vector<AlbumArrival>& arrivals) {
    int64_t photos = 0;
    for (const AlbumArrival& arrival : arrivals)
        photos += arrival.photos;
    return static_cast<double>(photos) * 1e9 /
           static_cast<double>(arrivals.back().at_ns - arrivals.front().at_ns);
}

std::vector<AlbumArrival> at_rate(std::vector<AlbumArrival> trace, double per_second) {
    const double factor = mean_per_second(trace) / per_second;
    for (AlbumArrival& arrival : trace)
        arrival.at_ns = std::llround(static_cast<double>(arrival.at_ns) * factor);
    return trace;
}

} // namespace yeoul::batching

// How far a tensor is from its reference.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace yeoul::test {

struct Distance {
    bool finite = true;      // of the tensor; nothing else counts when false
    double cosine = 1;       // of the whole tensor, or the least of its rows
    double max_over_rms = 0; // max |x - reference| / rms(reference)
    double relative_l2 = 0;  // ||x - reference|| / ||reference||
};

inline Distance distance(std::span<const float> x, std::span<const float> reference) {
    Distance d;
    double dot = 0, xx = 0, rr = 0, dd = 0, worst = 0;
    for (size_t i = 0; i < reference.size(); ++i) {
        const double a = x[i], b = reference[i];
        d.finite = d.finite && std::isfinite(a);
        dot += a * b;
        xx += a * a;
        rr += b * b;
        dd += (a - b) * (a - b);
        worst = std::max(worst, std::abs(a - b));
    }
    d.cosine = dot / std::sqrt(xx * rr);
    d.max_over_rms = worst / std::sqrt(rr / static_cast<double>(reference.size()));
    d.relative_l2 = std::sqrt(dd / rr);
    return d;
}

/// As above, with the least cosine of all rows of `dim` values.
inline Distance distance_by_row(std::span<const float> x, std::span<const float> reference,
                                size_t dim) {
    Distance d = distance(x, reference);
    for (size_t row = 0; row + dim <= reference.size(); row += dim)
        d.cosine =
            std::min(d.cosine, distance(x.subspan(row, dim), reference.subspan(row, dim)).cosine);
    return d;
}

} // namespace yeoul::test

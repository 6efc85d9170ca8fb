#include "apps/run/vector_statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace yeoul::run {
namespace {

double dot(const float* x, const float* y, int dim) {
    double sum = 0;
    for (int i = 0; i < dim; ++i)
        sum += static_cast<double>(x[i]) * y[i];
    return sum;
}

/// Lengths; 0 for a row that no cosine can be taken of.
std::vector<double> lengths(const Vectors& vectors) {
    std::vector<double> all;
    for (int i = 0; i < vectors.rows; ++i) {
        const double length = std::sqrt(dot(vectors.row(i), vectors.row(i), vectors.dim));
        all.push_back(std::isfinite(length) ? length : 0);
    }
    return all;
}

// The k rows of `index` with the largest cosine to `query`, without row `self`, in any order.
std::vector<int> nearest(const Vectors& index, const std::vector<double>& sizes, const float* query,
                         int self, int k) {
    std::vector<std::pair<double, int>> found; // the query's length does not change their order
    for (int i = 0; i < index.rows; ++i)
        if (i != self && sizes[i] > 0)
            found.emplace_back(-dot(index.row(i), query, index.dim) / sizes[i], i);
    const auto end = found.begin() + std::min<long>(k, static_cast<long>(found.size()));
    std::partial_sort(found.begin(), end, found.end());
    std::vector<int> rows;
    std::transform(found.begin(), end, std::back_inserter(rows),
                   [](const auto& entry) { return entry.second; });
    std::sort(rows.begin(), rows.end());
    return rows;
}

} // namespace

Differences differences(const Vectors& a, const Vectors& b) {
    Differences d;
    const std::vector<double> a_lengths = lengths(a), b_lengths = lengths(b);
    std::vector<double> cosines;
    double ratios = 0;
    for (int i = 0; i < std::min(a.rows, b.rows); ++i) {
        if (a_lengths[i] == 0 || b_lengths[i] == 0) {
            ++d.skipped;
            continue;
        }
        const double cosine = dot(a.row(i), b.row(i), a.dim) / (a_lengths[i] * b_lengths[i]);
        if (cosines.empty() || cosine < d.least_cosine) {
            d.least_cosine = cosine;
            d.least_row = i;
        }
        cosines.push_back(cosine);
        ratios += b_lengths[i] / a_lengths[i];
        for (int x = 0; x < a.dim; ++x)
            d.max_abs = std::max(d.max_abs, std::abs(double{a.row(i)[x]} - b.row(i)[x]));
    }
    d.compared = static_cast<int>(cosines.size());
    if (cosines.empty())
        return d;
    d.mean_cosine = std::accumulate(cosines.begin(), cosines.end(), 0.0) / d.compared;
    d.mean_length_ratio = ratios / d.compared;
    const auto middle = cosines.begin() + static_cast<long>(cosines.size() / 2);
    std::nth_element(cosines.begin(), middle, cosines.end());
    d.median_cosine = *middle;
    return d;
}

double neighbours_kept(const Vectors& index, const Vectors& queries, int k, int most) {
    const std::vector<double> sizes = lengths(index), query_sizes = lengths(queries);
    const int step = std::max(1, index.rows / most);
    size_t kept = 0, all = 0;
    for (int i = 0; i < std::min(index.rows, queries.rows); i += step) {
        if (sizes[i] == 0 || query_sizes[i] == 0)
            continue;
        const std::vector<int> before = nearest(index, sizes, index.row(i), i, k);
        const std::vector<int> after = nearest(index, sizes, queries.row(i), i, k);
        std::vector<int> both;
        std::set_intersection(before.begin(), before.end(), after.begin(), after.end(),
                              std::back_inserter(both));
        kept += both.size();
        all += before.size();
    }
    return all == 0 ? 1 : static_cast<double>(kept) / static_cast<double>(all);
}

} // namespace yeoul::run

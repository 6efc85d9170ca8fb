// Near-duplicates against DBSCAN as it is defined, and what must not change their groups.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <deque>

#include "engine/duplicates.h"
#include "tests/support/cuda_backend.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

constexpr int kDim = 24;

double cosine(const float* x, const float* y) {
    double dot = 0, a = 0, b = 0;
    for (int i = 0; i < kDim; ++i) {
        dot += double{x[i]} * y[i];
        a += double{x[i]} * x[i];
        b += double{y[i]} * y[i];
    }
    return dot / std::sqrt(a * b);
}

/// Ester et al., 1996, with min_samples 2, of which the point itself is one: whoever has a
/// neighbour is a core point. Groups by expansion from each point not yet seen.
std::vector<std::vector<int>> dbscan(const std::vector<float>& values, double threshold) {
    const int count = static_cast<int>(values.size()) / kDim;
    std::vector<bool> seen(count);
    std::vector<std::vector<int>> groups;
    for (int start = 0; start < count; ++start) {
        if (seen[start])
            continue;
        std::vector<int> group;
        std::deque<int> queue{start};
        seen[start] = true;
        while (!queue.empty()) {
            const int point = queue.front();
            queue.pop_front();
            group.push_back(point);
            for (int other = 0; other < count; ++other)
                if (!seen[other] &&
                    cosine(&values[point * kDim], &values[other * kDim]) >= threshold) {
                    seen[other] = true;
                    queue.push_back(other);
                }
        }
        std::sort(group.begin(), group.end());
        if (group.size() > 1)
            groups.push_back(group);
    }
    return groups;
}

/// Vectors around a few centres, so that chains form and many cosines lie near any threshold.
std::vector<float> clustered(int count, unsigned seed) {
    const std::vector<float> noise = random_eighths(static_cast<size_t>(count) * kDim, 4, seed);
    const std::vector<float> centres = random_eighths(size_t{7} * kDim, 4, seed + 1);
    std::vector<float> values;
    for (int i = 0; i < count; ++i)
        for (int d = 0; d < kDim; ++d)
            values.push_back(centres[(i * i % 7) * kDim + d] +
                             0.04f * static_cast<float>(1 + i % 9) * noise[i * kDim + d]);
    return values;
}

void check_groups(Backend& backend, std::initializer_list<int> counts) {
    const DType compute = backend.numerics("auto").compute;
    for (int count : counts)
        for (double threshold : {0.85, 0.95, 0.99}) {
            CAPTURE(count);
            CAPTURE(threshold);
            const std::vector<float> values = clustered(count, 5);
            const auto expected = dbscan(values, threshold);
            CHECK(find_duplicates({values, kDim}, threshold).groups == expected);
            for (int block : {8, 64, 2048}) {
                if (count / block > 20)
                    continue; // the same again, slowly
                CAPTURE(block);
                const Duplicates found =
                    find_duplicates(backend, backend, compute, {values, kDim}, threshold, block);
                CHECK(found.groups == expected);
            }
        }
}

} // namespace

TEST_CASE("duplicates: groups are those of DBSCAN with min_samples 2, whatever the block") {
    check_groups(*make_cpu_backend(2), {1, 2, 7, 8, 9, 63, 130, 300});
}

TEST_CASE("simt: groups of duplicates are those of fp64, although products are fp16") {
    check_groups(*make_fp16_backend(), {2, 9, 130});
}

TEST_CASE("simt: pairs nearer to the threshold than fp16 can tell are decided in fp64") {
    const auto backend = make_fp16_backend();
    constexpr double kThreshold = 0.95;
    constexpr int kPairs = 24;
    const std::vector<float> draws = random_eighths(size_t{2} * kPairs * kDim, 4, 11);
    std::vector<float> values;
    for (int pair = 0; pair < kPairs; ++pair) {
        // y = cos x + sin u of a direction u across x, both of length 1
        const float* x = &draws[size_t{2} * pair * kDim];
        const float* u = x + kDim;
        double xx = 0, xu = 0, across = 0;
        for (int d = 0; d < kDim; ++d)
            xx += double{x[d]} * x[d], xu += double{x[d]} * u[d];
        for (int d = 0; d < kDim; ++d)
            across += std::pow(u[d] - xu / xx * x[d], 2);
        const double cosine_of_pair = kThreshold + (pair % 2 ? 2e-5 : -2e-5);
        const double sine = std::sqrt(1 - cosine_of_pair * cosine_of_pair);
        values.insert(values.end(), x, x + kDim);
        for (int d = 0; d < kDim; ++d)
            values.push_back(
                static_cast<float>(cosine_of_pair * x[d] / std::sqrt(xx) +
                                   sine * (u[d] - xu / xx * x[d]) / std::sqrt(across)));
    }
    const auto expected = dbscan(values, kThreshold);
    REQUIRE(expected.size() == kPairs / 2);
    CHECK(find_duplicates(*backend, *backend, DType::f16, {values, kDim}, kThreshold).groups ==
          expected);
}

TEST_CASE("duplicates: a cosine just at the threshold joins, one just below does not") {
    const auto backend = make_cpu_backend(1);
    for (double step : {1e-6, -1e-6}) {
        std::vector<float> values(2 * kDim);
        values[0] = 1;
        values[kDim] = 3, values[kDim + 1] = 1; // of any length
        const double threshold = cosine(&values[0], &values[kDim]) - step;
        const auto found =
            find_duplicates(*backend, *backend, DType::f32, {values, kDim}, threshold);
        CHECK(found.groups.size() == (step > 0 ? 1 : 0));
        CHECK(found.closest == std::vector<int>{0, 1});
        CHECK(found.closest_cosine == doctest::Approx(3 / std::sqrt(10.0)));
    }
}

TEST_CASE("duplicates: a vector of zeros or with NaN or infinity is like none, and never closest") {
    const auto backend = make_cpu_backend(1);
    std::vector<float> values(6 * kDim, 1.0f);
    std::fill_n(values.begin(), kDim, 0.0f);
    values[2 * kDim + 3] = NAN;
    values[4 * kDim + 5] = INFINITY;
    const auto found = find_duplicates(*backend, *backend, DType::f32, {values, kDim}, 0.9);
    CHECK(found.groups == std::vector<std::vector<int>>{{1, 3, 5}});
    CHECK(found.closest == std::vector<int>{1, 3});
    const std::vector<float> none(2 * kDim, 0.0f);
    CHECK(find_duplicates(*backend, *backend, DType::f32, {none, kDim}, 0.9).closest.empty());
    CHECK(find_duplicates({none, kDim}, 0.9).closest.empty());
    CHECK(find_duplicates(*backend, *backend, DType::f32, {{}, kDim}, 0.9).groups.empty());
}

TEST_CASE("duplicates: a threshold that is no cosine above 0 is refused") {
    const auto backend = make_cpu_backend(1);
    for (double threshold : {0.0, -0.5, 1.5, std::nan("")})
        CHECK_THROWS_AS(find_duplicates(*backend, *backend, DType::f32, {{}, kDim}, threshold),
                        Error);
}

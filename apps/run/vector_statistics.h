// How far two sets of vectors of the same photos are from each other.
#pragma once

#include <vector>

#include "apps/run/vectors_reader.h"

namespace yeoul::run {

/// Of the rows that both sets have; a row that is zero or holds NaN or infinity is skipped.
struct Differences {
    int compared = 0, skipped = 0;
    double least_cosine = 1, mean_cosine = 1, median_cosine = 1;
    int least_row = 0; // which row has the least cosine
    double max_abs = 0, mean_length_ratio = 1;
};
Differences differences(const Vectors& a, const Vectors& b);

/// Of the `k` rows of `index` nearest to a query, the share that stays when the query's vector
/// comes from `queries` instead; over at most `most` rows, evenly spread, the row itself left out.
/// 1 where there is no neighbour to lose.
double neighbours_kept(const Vectors& index, const Vectors& queries, int k, int most);

} // namespace yeoul::run

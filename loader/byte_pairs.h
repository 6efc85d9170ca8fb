// Byte-pair encoding of one word (Sennrich et al., 2016), over ids.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace yeoul::loader {

class BytePairs {
public:
    /// `left` and `right` side by side become `merged`. Merges given earlier come first; one given
    /// again takes its later place.
    void add(int32_t left, int32_t right, int32_t merged);

    /// Merges neighbours, the earliest merge first and of equals the leftmost, until none applies.
    /// O(n log n) for a word of n symbols.
    void merge(std::vector<int32_t>& word) const;

private:
    struct Merge {
        int rank;
        int32_t merged;
    };
    const Merge* find(int32_t left, int32_t right) const;

    std::unordered_map<uint64_t, Merge> merges_; // by left << 32 | right
    int next_rank_ = 0;
};

} // namespace yeoul::loader

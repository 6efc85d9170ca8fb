#include "loader/byte_pairs.h"

#include <queue>
#include <tuple>

namespace yeoul::loader {
namespace {

uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// A symbol of the word and its neighbours that are left; ids are never negative but here.
constexpr int32_t kGone = -1;
struct Symbol {
    int32_t id;
    int before, after; // -1: none
};

struct Candidate {
    int rank, left, right; // the two symbols
    int32_t left_id, right_id, merged;
    bool operator>(const Candidate& other) const {
        return std::tie(rank, left) > std::tie(other.rank, other.left);
    }
};

} // namespace

void BytePairs::add(int32_t left, int32_t right, int32_t merged) {
    merges_[key_of(left, right)] = {next_rank_++, merged};
}

const BytePairs::Merge* BytePairs::find(int32_t left, int32_t right) const {
    const auto found = merges_.find(key_of(left, right));
    return found == merges_.end() ? nullptr : &found->second;
}

void BytePairs::merge(std::vector<int32_t>& word) const {
    const int count = static_cast<int>(word.size());
    std::vector<Symbol> symbols;
    symbols.reserve(word.size());
    for (int i = 0; i < count; ++i)
        symbols.push_back({word[i], i - 1, i + 1 < count ? i + 1 : -1});

    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
    const auto consider = [&](int left, int right) {
        if (left < 0 || right < 0)
            return;
        const int32_t left_id = symbols[left].id, right_id = symbols[right].id;
        if (const Merge* merge = find(left_id, right_id))
            queue.push({merge->rank, left, right, left_id, right_id, merge->merged});
    };
    for (int i = 0; i + 1 < count; ++i)
        consider(i, i + 1);
    while (!queue.empty()) {
        const Candidate next = queue.top();
        queue.pop();
        Symbol &left = symbols[next.left], &right = symbols[next.right];
        // An earlier merge took one of them, or put them apart.
        if (left.id != next.left_id || right.id != next.right_id || left.after != next.right)
            continue;
        left.id = next.merged;
        left.after = right.after;
        if (right.after >= 0)
            symbols[right.after].before = next.left;
        right.id = kGone;
        consider(left.before, next.left);
        consider(next.left, left.after);
    }
    word.clear();
    for (const Symbol& symbol : symbols)
        if (symbol.id != kGone)
            word.push_back(symbol.id);
}

} // namespace yeoul::loader

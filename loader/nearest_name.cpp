#include "loader/nearest_name.h"

#include <algorithm>

namespace yeoul::loader {
namespace {

// The work is the product of both lengths; no tensor or flag name comes near.
constexpr size_t kLongest = 512;

// Insertions, deletions, substitutions and swaps of neighbours, each letter touched once (optimal
// string alignment).
size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j)
        last[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t substitution = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, substitution});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before_last[j - 2] + 1);
        }
        std::swap(before_last, last);
        std::swap(last, row);
    }
    return last[b.size()];
}

} // namespace

std::vector<std::string> nearest_names(std::string_view name, std::span<const std::string> known,
                                       size_t count) {
    struct Candidate {
        size_t distance;
        std::string_view name;
        auto operator<=>(const Candidate&) const = default; // ties in the order of the alphabet
    };
    std::vector<Candidate> candidates;
    const size_t furthest = name.size() / 2;
    if (name.size() > kLongest)
        return {};
    for (const std::string& candidate : known) {
        const size_t longer = std::max(candidate.size(), name.size());
        if (longer - std::min(candidate.size(), name.size()) > furthest)
            continue;
        const size_t distance = edit_distance(name, candidate);
        if (distance <= furthest)
            candidates.push_back({distance, candidate});
    }
    std::sort(candidates.begin(), candidates.end());
    candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
    std::vector<std::string> nearest;
    for (size_t i = 0; i < std::min(count, candidates.size()); ++i)
        nearest.emplace_back(candidates[i].name);
    return nearest;
}

} // namespace yeoul::loader

// What each batch size costs: the table that decides padding, splitting and the policy's choices.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace yeoul::batching {

/// One forward pass of `batch` photos takes `us` microseconds.
struct BatchCost {
    int batch = 0;
    double us = 0;
    double rate() const { return batch / us; } // photos per microsecond
    friend bool operator==(const BatchCost&, const BatchCost&) = default;
};

constexpr int kMostBuckets = 12;
/// A bucket costs a captured graph and start-up time; it must pay with so much more rate.
constexpr double kLeastGain = 1.03;

/// The sizes of `curve` (ascending) that deserve a graph: at most `most`, each better in rate than
/// the last kept by `gain` (more where `most` forces it), none that a larger kept one does in 3 %
/// more time: on the stairs that waves make, the end of each step.
std::vector<BatchCost> pareto(const std::vector<BatchCost>& curve, int most = kMostBuckets,
                              double gain = kLeastGain);

class CostTable {
public:
    /// Ascending in batch; times positive, finite and not falling. Throws `Error`, code
    /// `invalid_argument`.
    explicit CostTable(std::vector<BatchCost> buckets);

    int size() const { return static_cast<int>(buckets_.size()); }
    const std::vector<BatchCost>& buckets() const { return buckets_; }
    int batch(int bucket) const { return buckets_[bucket].batch; }
    int64_t ns(int bucket) const { return ns_[bucket]; }
    int largest() const { return buckets_.back().batch; }
    /// The smallest bucket that holds `photos`; the largest where none does.
    int bucket_for(int photos) const {
        return photos >= largest() ? size() - 1 : bucket_for_[photos < 1 ? 1 : photos];
    }

    /// max b / t(b) over the buckets with t(b) <= `limit_us`, in photos per second; 0 without one.
    /// No policy that keeps a limit on latency can serve more.
    double bound_per_second(double limit_us) const;
    double best_per_second() const;

    /// Every time becomes `ratio` times what it was: the clocks changed.
    void rescale(double ratio);

    /// One line per bucket, "batch microseconds"; `#` starts a comment. Reads back equal.
    std::string to_text() const;
    static CostTable from_text(std::string_view text);

private:
    void index();
    std::vector<BatchCost> buckets_;
    std::vector<int64_t> ns_;
    std::vector<int> bucket_for_; // by photos, up to the largest batch
};

} // namespace yeoul::batching

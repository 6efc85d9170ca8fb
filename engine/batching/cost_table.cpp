#include "engine/batching/cost_table.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <yeoul/error.h>

#include "loader/line_reader.h"

namespace yeoul::batching {
namespace {

constexpr int kMostPhotos = 1 << 16; // of one pass
constexpr double kMostUs = 3.6e9;    // an hour

std::vector<BatchCost> better_by(const std::vector<BatchCost>& curve, double gain) {
    std::vector<BatchCost> kept;
    for (const BatchCost& cost : curve)
        if (kept.empty() || cost.rate() >= gain * kept.back().rate())
            kept.push_back(cost);
    std::vector<BatchCost> ends;
    for (size_t i = 0; i < kept.size(); ++i)
        if (i + 1 == kept.size() || kept[i + 1].us > kLeastGain * kept[i].us)
            ends.push_back(kept[i]);
    return ends;
}

std::string shortest(double value) {
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;
    return {text, end};
}

} // namespace

std::vector<BatchCost> pareto(const std::vector<BatchCost>& curve, int most, double gain) {
    YEOUL_REQUIRE(most >= 1, "at most " << most << " buckets, must be at least 1");
    YEOUL_REQUIRE(gain >= 1, "the gain is " << gain << ", must be at least 1");
    std::vector<BatchCost> kept = better_by(curve, gain);
    for (; static_cast<int>(kept.size()) > most; gain *= 1.01)
        kept = better_by(curve, gain);
    return kept;
}

CostTable::CostTable(std::vector<BatchCost> buckets) : buckets_(std::move(buckets)) {
    YEOUL_REQUIRE(!buckets_.empty(), "a cost table needs at least one batch size");
    BatchCost last;
    for (const BatchCost& cost : buckets_) {
        YEOUL_REQUIRE(cost.batch > last.batch && cost.batch <= kMostPhotos,
                      "batch " << cost.batch << " follows " << last.batch
                               << "; batches must ascend, from 1 to " << kMostPhotos);
        YEOUL_REQUIRE(cost.us > 0 && cost.us <= kMostUs && cost.us >= last.us,
                      "batch " << cost.batch << " takes " << cost.us
                               << " us; times must be positive, at most an hour, and not fall");
        last = cost;
    }
    index();
}

void CostTable::index() {
    ns_.clear();
    for (const BatchCost& cost : buckets_)
        ns_.push_back(std::max<int64_t>(1, std::llround(cost.us * 1e3)));
    bucket_for_.assign(static_cast<size_t>(largest()) + 1, 0);
    for (int photos = 1, bucket = 0; photos <= largest(); ++photos) {
        bucket += photos > batch(bucket);
        bucket_for_[photos] = bucket;
    }
}

double CostTable::bound_per_second(double limit_us) const {
    double best = 0;
    for (const BatchCost& cost : buckets_)
        if (cost.us <= limit_us)
            best = std::max(best, cost.rate() * 1e6);
    return best;
}

double CostTable::best_per_second() const {
    return bound_per_second(kMostUs);
}

void CostTable::rescale(double ratio) {
    YEOUL_REQUIRE(ratio > 0 && std::isfinite(ratio), "the ratio of clocks is " << ratio);
    for (BatchCost& cost : buckets_)
        cost.us = std::min(kMostUs, cost.us * ratio);
    index();
}

std::string CostTable::to_text() const {
    std::string text = "# batch microseconds\n";
    for (const BatchCost& cost : buckets_)
        text += std::to_string(cost.batch) + ' ' + shortest(cost.us) + '\n';
    return text;
}

CostTable CostTable::from_text(std::string_view text) {
    std::vector<BatchCost> buckets;
    for (loader::LineReader lines(text); lines.next();) {
        BatchCost cost;
        YEOUL_REQUIRE(lines.read(cost.batch) && lines.read(cost.us) && lines.at_end(),
                      "line " << lines.number()
                              << " of the cost table is not \"batch microseconds\"");
        buckets.push_back(cost);
    }
    return CostTable(std::move(buckets));
}

} // namespace yeoul::batching

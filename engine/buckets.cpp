#include "engine/buckets.h"

#include <algorithm>
#include <optional>
#include <sstream>

#include "engine/tables.h"

namespace yeoul {
namespace {

using batching::BatchCost;
using batching::CostTable;

// More than 8 photos gain nothing on a CPU: oneDNN is near its rate from one photo on.
constexpr int kCpuBatchSize = 8;
// Beyond two whole waves nothing is gained on a T4, and latency is lost.
constexpr int kGpuBatchSize = 64;
constexpr const char* kTables = "buckets-vit-"; // how the tables' names begin
/// The best of so many rounds, where there is time.
constexpr int kRuns = 3;

/// Barriers between threads and weights read anew cost a pass about a quarter of what a photo does.
std::vector<BatchCost> powers_of_two(int largest) {
    const auto cost = [](int batch) { return BatchCost{batch, 0.25 + 0.75 * batch}; };
    std::vector<BatchCost> buckets;
    for (int batch = 1; batch < largest; batch *= 2)
        buckets.push_back(cost(batch));
    buckets.push_back(cost(largest));
    return buckets;
}

/// The device's own name, too: a home folder or an image may move between machines that share an
/// instruction set and little else, and an L4 and an L40S are both sm_89.
std::string device_words(const DeviceProperties& device) {
    return "-" + device.kind + "-" + device.isa + "-" + file_words(device.name) + "-";
}

/// Names what the times depend on.
std::string table_name(const DeviceProperties& device, const batching::VisionTransformer& model,
                       const BucketRequest& request, int largest) {
    std::ostringstream out;
    out << kTables << model.tokens << "x" << model.hidden_dim << "x" << model.layers
        << device_words(device) << name(request.dtype);
    if (device.kind == "cpu")
        out << "-" << request.threads << "threads";
    out << "-to" << largest;
    return out.str();
}

/// The table, when its batches are among the proposed ones and, if `keep_largest`, end with the
/// largest of them.
std::optional<CostTable> read(const std::string& table_name, const std::vector<BatchCost>& proposed,
                              bool keep_largest) {
    try {
        CostTable table = CostTable::from_text(read_table(table_name));
        for (const BatchCost& bucket : table.buckets())
            if (std::none_of(proposed.begin(), proposed.end(),
                             [&](const BatchCost& other) { return other.batch == bucket.batch; }))
                return std::nullopt;
        if (keep_largest && table.largest() != proposed.back().batch)
            return std::nullopt;
        return table;
    } catch (const Error&) { // empty, or broken by hand: it is written anew
        return std::nullopt;
    }
}

} // namespace

std::vector<BatchCost> propose_buckets(const DeviceProperties& device,
                                       const batching::VisionTransformer& model, int largest) {
    if (device.kind == "cpu")
        return powers_of_two(largest > 0 ? largest : kCpuBatchSize);
    batching::GpuModel gpu = batching::t4();
    gpu.sms = std::max(1, device.compute_units);
    const std::vector<BatchCost> curve =
        batching::wave_model(gpu, model, largest > 0 ? largest : kGpuBatchSize);
    std::vector<BatchCost> buckets = batching::pareto(curve);
    if (largest > 0 && buckets.back().batch != largest) {
        if (buckets.size() == batching::kMostBuckets)
            buckets.pop_back();
        buckets.push_back(curve.back());
    }
    return buckets;
}

std::vector<int> batch_sizes(const std::vector<BatchCost>& buckets) {
    std::vector<int> sizes;
    for (const BatchCost& bucket : buckets)
        sizes.push_back(bucket.batch);
    return sizes;
}

BucketChoice choose_buckets(const DeviceProperties& device,
                            const batching::VisionTransformer& model,
                            const BucketRequest& request) {
    BucketChoice choice;
    if (!request.exactly.empty()) {
        for (int batch : request.exactly)
            choice.buckets.push_back({batch, 1.0 * batch});
        choice.known = true;
        return choice;
    }
    choice.buckets = propose_buckets(device, model, request.largest);
    choice.table = table_name(device, model, request, choice.buckets.back().batch);
    if (std::optional<CostTable> table = read(choice.table, choice.buckets, request.largest > 0)) {
        choice.buckets = table->buckets();
        choice.known = true;
    }
    return choice;
}

int forget_buckets(const DeviceProperties& device) {
    return remove_tables(kTables, device_words(device));
}

std::string TimedBuckets::text() const {
    std::ostringstream out;
    out << "# One forward pass of so many photos, timed at start-up: the " << measured
        << " smallest sizes were\n# measured, the others follow from them. Delete this file to "
           "time "
           "them again.\n"
        << table.to_text();
    return out.str();
}

TimedBuckets time_buckets(const std::vector<BatchCost>& proposed, bool keep_largest,
                          const std::function<double(int)>& measure_us, double seconds) {
    std::vector<BatchCost> timed;
    double left = seconds * 1e6, round = 0;
    for (size_t i = 0; i < proposed.size(); ++i) {
        const double expected = i == 0 ? 0 : timed.back().us * proposed[i].us / proposed[i - 1].us;
        if (expected > left)
            break;
        timed.push_back({proposed[i].batch, measure_us(static_cast<int>(i))});
        left -= timed.back().us;
        // The first pass pays for cold caches and threads that wake, and all that there is no time
        // for follows from it: a second and a third one count as well.
        for (int run = 1; i == 0 && run < kRuns && timed[0].us < left; ++run) {
            const double us = measure_us(0);
            left -= us;
            timed[0].us = std::min(timed[0].us, us);
        }
        round += timed.back().us;
    }
    // All of them again, not one of them thrice: what disturbs the machine for a moment then
    // disturbs one round.
    const auto measured = static_cast<int>(timed.size());
    for (int run = 1; run < kRuns && round < left; ++run, left -= round)
        for (int i = 0; i < measured; ++i)
            timed[i].us = std::min(timed[i].us, measure_us(i));
    for (size_t i = timed.size(); i < proposed.size(); ++i)
        timed.push_back({proposed[i].batch, timed[i - 1].us * proposed[i].us / proposed[i - 1].us});
    for (size_t i = 1; i < timed.size(); ++i) // a smaller batch may always be padded
        timed[i].us = std::max(timed[i].us, timed[i - 1].us);

    std::vector<BatchCost> kept = batching::pareto(timed);
    if (keep_largest && kept.back().batch != timed.back().batch) {
        if (kept.size() == batching::kMostBuckets)
            kept.pop_back();
        kept.push_back(timed.back());
    }
    return {CostTable(std::move(kept)), measured};
}

} // namespace yeoul

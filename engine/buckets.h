// Which batch sizes get a captured graph, and what each costs: proposed before the model is made,
// timed at start-up, kept in a readable table.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/batching/cost_table.h"
#include "engine/batching/wave_model.h"
#include "kernels/device.h"

namespace yeoul {

/// Start-up times buckets for at most about so long; the rest is predicted from those.
constexpr double kTimingSeconds = 1.5;

/// What a model's batch sizes should cost on a device, in proportion: ascending, from 1 to the
/// largest, at most kMostBuckets. On a GPU the sizes at which whole waves of thread blocks end; on
/// a CPU 1, 2, 4, ... `largest` is always among them; 0 takes the device's default, or less where
/// more should gain nothing.
std::vector<batching::BatchCost> propose_buckets(const DeviceProperties& device,
                                                 const batching::VisionTransformer& model,
                                                 int largest);

std::vector<int> batch_sizes(const std::vector<batching::BatchCost>& buckets);

/// What the choice depends on, besides device and model.
struct BucketRequest {
    DType dtype = DType::f32;
    int threads = 1; // of the host, for math
    int largest = 0; // 0: the device's default
    /// The very sizes that get a graph, for measuring.
    std::vector<int> exactly = {};
};

/// The sizes that ops are planned and graphs captured for, before anything is timed.
struct BucketChoice {
    std::vector<batching::BatchCost> buckets; // in proportion, unless they come from the table
    bool known = false; // from the table of an earlier start: there is nothing to time
    /// Its name: "buckets-vit-50x768x12-cpu-avx2-amd-epyc-7763-fp32-2threads-to8".
    std::string table;
};
/// Reads the table.
BucketChoice choose_buckets(const DeviceProperties& device,
                            const batching::VisionTransformer& model, const BucketRequest& request);

/// Removes the tables of this device, of every model; the next start times anew. How many.
int forget_buckets(const DeviceProperties& device);

struct TimedBuckets {
    batching::CostTable table;
    int measured = 0; // of the proposed ones; the others were predicted from these
    std::string text() const;
};
/// Times the proposed buckets, smallest first, while `seconds` last, and keeps those that pay
/// (batching::pareto) and, if `keep_largest`, the largest. `measure_us(i)` runs bucket i once.
TimedBuckets time_buckets(const std::vector<batching::BatchCost>& proposed, bool keep_largest,
                          const std::function<double(int)>& measure_us, double seconds);

} // namespace yeoul

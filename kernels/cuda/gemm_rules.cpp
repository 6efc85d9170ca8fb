// The rules for shapes that no table has: a model of waves, and own against library.
#include <algorithm>
#include <cmath>

#include "kernels/cuda/gemm_library.h"
#include "kernels/cuda/gemm_table.h"

namespace yeoul::cuda {
namespace {

// What one SM of a T4 does, in microseconds. Published or computed, none of it measured here:
// T4s throttle at 70 W to about 25 TFLOPS of fp16 in long runs (NVIDIA's forum, FasterTransformer's
// tables), which is 312,500 products per microsecond on each of 40 SMs.
constexpr double kProducts = 312500;
// A step of the main loop takes at least the way of a load from L2 or DRAM into shared memory:
// 600 to 900 clocks at about 1 GHz, estimated.
constexpr double kStepUs = 0.7;
constexpr double kTileUs = 1.5;     // its first load and its end, estimated
constexpr double kLaunchUs = 2.5;   // of one more kernel in a graph, published 1.5 to 3.5
constexpr double kBytes = 240000;   // per microsecond: a T4's copy rate by bandwidthTest
constexpr int kMinSteps = 4;        // of a split: below, its first load outweighs its products
constexpr double kMaxPartial = 4e6; // bytes of partial sums: what a T4's L2 holds
constexpr double kOwnRate = 0.90;   // of the library's: assumed until a table measures it
constexpr double kSplitGain = 0.9;  // a split must save a tenth of the time, or scratch is wasted

// `bias_activation` reads and writes y once.
double pass_us(const GemmShape& shape) {
    return kLaunchUs + 4.0 * shape.rows * shape.columns / kBytes;
}

} // namespace

// Blocks that share an SM share its tensor cores, so what counts is how many blocks the busiest SM
// gets; while few are there, the latency of a step counts instead.
double predicted_us(const GemmMachine& machine, const GemmShape& shape, OwnGemm how) {
    const GemmTile& tile = kGemmTiles[how.tile];
    const double tiles = static_cast<double>(divide_up(shape.rows, tile.rows)) *
                         divide_up(shape.columns, tile.columns);
    const double per_sm = std::ceil(tiles * how.splits / machine.sm_count);
    const double rounds = std::ceil(per_sm / tile.resident);
    const int steps = divide_up(divide_up(shape.inner, kGemmInner), how.splits);
    const double products = static_cast<double>(tile.rows) * tile.columns * kGemmInner;
    const double step =
        std::max(per_sm * products / (kProducts * tile.efficiency), rounds * kStepUs);
    const double loop = steps * step + rounds * kTileUs;
    const double weights = 2.0 * shape.columns * shape.inner / kBytes;
    double us = std::max(loop, weights);
    if (how.splits > 1)
        us += kLaunchUs + 2.0 * static_cast<double>(gemm_scratch_bytes(shape, how)) / kBytes;
    return us;
}

OwnGemm best_split(const GemmMachine& machine, const GemmShape& shape, int tile) {
    const OwnGemm whole{tile, 1};
    OwnGemm best = whole;
    double best_us = kSplitGain * predicted_us(machine, shape, whole);
    const int steps = divide_up(shape.inner, kGemmInner);
    for (int each = divide_up(steps, 2); each >= kMinSteps; --each) {
        const OwnGemm how{tile, divide_up(steps, each)}; // every split has steps to do
        if (how.splits > kMaxSplits ||
            static_cast<double>(gemm_scratch_bytes(shape, how)) > kMaxPartial)
            break;
        if (const double us = predicted_us(machine, shape, how); us < best_us) {
            best = how;
            best_us = us;
        }
    }
    return best;
}

OwnGemm best_own(const GemmMachine& machine, const GemmShape& shape) {
    OwnGemm own = best_split(machine, shape, 0);
    for (int tile = 1; tile < static_cast<int>(kGemmTiles.size()); ++tile)
        if (const OwnGemm how = best_split(machine, shape, tile);
            predicted_us(machine, shape, how) < predicted_us(machine, shape, own))
            own = how;
    return own;
}

GemmChoice predict(const GemmMachine& machine, const GemmShape& shape) {
    const OwnGemm own = best_own(machine, shape);
    // 1. Without a library there is no choice.
    if (machine.library == nullptr)
        return {false, own};
    // 2. From sm_80 on, tensor cores want larger products than m16n8k8: the library.
    if (machine.sm >= 80)
        return {true, {}};
    // 3. Tiles that leave SMs idle: the own product splits, and ends in the pass that adds up.
    if (own.splits > 1)
        return {false, own};
    // 4. The own product where the pass that the library would need costs more than its lead.
    const double own_us = predicted_us(machine, shape, own);
    const double pass = machine.library->fuses(shape.activation) ? 0 : pass_us(shape);
    if (own_us > own_us * kOwnRate + pass)
        return {true, {}};
    return {false, own};
}

GemmDecision decide(const GemmTable* table, const GemmMachine& machine, const GemmShape& shape) {
    if (table != nullptr)
        if (const GemmTable::Row* row = table->find(machine, shape))
            return {row->choice, !row->measured.empty()};
    return {predict(machine, shape), false};
}

} // namespace yeoul::cuda

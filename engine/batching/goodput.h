// The highest rate that an arm serves in time, and what it does there.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/batching/simulator.h"

namespace yeoul::batching {

/// A time per batch size, of every size; the engine's graphs are chosen from it.
/// "t4-b32", "t4-b16", "t4-l14": modelled with 128x96 tiles; "t4-b32-tiles", "t4-b16-tiles": with
/// the best of eleven tiles per GEMM; "ft-b16": FasterTransformer, measured on a T4, between its
/// points a line.
std::vector<BatchCost> named_curve(const std::string& name);
extern const std::vector<std::string> kCurves;

/// `rate` to arrivals, the same ones at another speed.
using TrafficAt = std::function<std::vector<AlbumArrival>(double per_second)>;

struct Run {
    double per_second = 0;
    int64_t timeout_ns = 0; // of `best-timeout`
    SimulationResult result;
};

/// Share of all photos, dropped ones included, that must be in time.
constexpr double kGoodputShare = 0.99;

/// At `per_second`; `best-timeout` takes the timeout with the best p99 of albums, or with
/// deadlines the most photos in time.
Run run_at(const std::string& arm, const ArmSetup& setup, const TrafficAt& traffic,
           double per_second);
/// By bisection up to `most_per_second`, to one part in a thousand of it.
Run find_goodput(const std::string& arm, const ArmSetup& setup, const TrafficAt& traffic,
                 double most_per_second);

} // namespace yeoul::batching

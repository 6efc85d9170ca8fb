// The simulator's results as tables or JSON.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/batching/goodput.h"

namespace yeoul::bench {

struct SimulationCell {
    std::string curve, arrivals;
    double target_ms = 0;
    double most_per_second = 0;  // of the slower stage, at its best batch
    double bound_per_second = 0; // the same with batches no longer than the target
    std::vector<std::pair<std::string, batching::Run>> runs; // by arm
};

struct SimulationTable {
    std::string settings;
    bool searched = true; // for goodput; else at a given rate
    std::vector<SimulationCell> cells;
};

/// On stdout.
void print(const SimulationTable& table, bool json);

} // namespace yeoul::bench

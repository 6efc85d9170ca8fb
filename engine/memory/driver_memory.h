// What a GPU's driver takes beside what is asked of it.
#pragma once

#include <vector>

#include "engine/memory/plan.h"

namespace yeoul {

/// For `graphs` captured forward passes. Empty where there is no driver: on a CPU and the emulator.
std::vector<PlanLine> driver_memory(const DeviceProperties& device, int graphs);

} // namespace yeoul

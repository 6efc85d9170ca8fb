// Times the candidates for each shape on the device.
#pragma once

#include <span>
#include <vector>

#include "kernels/cuda/context.h"
#include "kernels/cuda/gemm_table.h"

namespace yeoul::cuda {

/// One row for each shape, the fastest candidate chosen. Takes about `seconds` in all, and at least
/// one timing of each candidate. Allocates operands for the largest shape; call it with nothing
/// else on the device.
std::vector<GemmTable::Row> tune(const Context& context, std::span<const GemmShape> shapes,
                                 double seconds);

} // namespace yeoul::cuda

// Groups of photos that look alike: which of n vectors have a cosine of at least a threshold.
#pragma once

#include <span>
#include <vector>

#include <yeoul/engine.h>

#include "kernels/ops.h"

namespace yeoul {

/// n vectors of `dim` values of any length. One that is zero or holds NaN or infinity is like none.
struct VectorRows {
    std::span<const float> values; // (n, dim)
    int dim = 0;
    size_t count() const { return dim > 0 ? values.size() / static_cast<size_t>(dim) : 0; }
};

/// Connected components of "the cosine is at least `threshold`", computed in blocks on the device:
/// the memory beyond the vectors is bounded, whatever n. A product in the device's precision
/// proposes pairs, and those near the threshold are decided in fp64: groups do not depend on device
/// or block size. Blocks come from `memory`, a view of the backend's device, and a product's
/// weights from where the backend places them. Throws `Error`: `invalid_argument` for a threshold
/// outside (0, 1], `out_of_memory`.
///   cost  n^2 * dim FLOP of products
Duplicates find_duplicates(Backend& backend, Device& memory, DType compute, const VectorRows& rows,
                           double threshold, int block = 2048);

/// The same on the host alone, in fp64: for the photos of a request, while the device computes
/// others. It takes no memory of the device.
Duplicates find_duplicates(const VectorRows& rows, double threshold);

} // namespace yeoul

// A vendor's matrix products, behind a seam: cuBLASLt in the product, none on the emulator.
#pragma once

#include <memory>

#include "kernels/cuda/context.h"
#include "kernels/ops.h"

namespace yeoul::cuda {

class GemmLibrary {
public:
    virtual ~GemmLibrary() = default;
};

} // namespace yeoul::cuda

// cuBLASLt as a GemmLibrary.
#pragma once

#include <memory>

#include "kernels/cuda/gemm_library.h"

namespace yeoul::cuda {

/// Its handle belongs to the device that is current when the first product is planned.
std::unique_ptr<GemmLibrary> make_cublaslt();

} // namespace yeoul::cuda

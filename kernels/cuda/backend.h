// The CUDA backend: a device and its ops. Built twice: by nvcc and the CUDA runtime into
// libyeoul_cuda.so, and by g++ on the emulator of tests/simt.
#pragma once

#include <memory>
#include <string>

#include "kernels/cuda/gemm_library.h"
#include "kernels/cuda/gemm_table.h"
#include "kernels/ops.h"

namespace yeoul::cuda {

struct BackendParts {
    int device = 0;
    int sm = 0;                           // 0: the device's own
    std::string kind;                     // of its properties; empty: as it was built
    std::unique_ptr<GemmLibrary> library; // may be null
    std::unique_ptr<GemmTable> table;     // may be null
};

/// Throws `Error` with code `device` when there is no such device, driver or kernel for it.
std::unique_ptr<Backend> make_backend(BackendParts parts);

} // namespace yeoul::cuda

// Failures of CUDA calls as `Error`s.
#pragma once

#include <cuda_runtime.h>

namespace yeoul::cuda {

/// `device_lost` for errors after which the context is unusable, `OutOfMemory` for a failed
/// allocation, `device` for a missing or too old driver, `internal` for the rest.
[[noreturn]] void throw_cuda_error(cudaError_t error, const char* expression, const char* file,
                                   int line);

} // namespace yeoul::cuda

#define YEOUL_CUDA(expression)                                                                     \
    do {                                                                                           \
        const cudaError_t yeoul_error_ = (expression);                                             \
        if (yeoul_error_ != cudaSuccess)                                                           \
            ::yeoul::cuda::throw_cuda_error(yeoul_error_, #expression, __FILE__, __LINE__);        \
    } while (false)

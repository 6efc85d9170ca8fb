// The CUDA backend of a test: on the emulator, or on a GPU where YEOUL_TEST_BACKENDS=cuda asks.
#pragma once

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

#include "engine/cuda_module.h"
#include "kernels/cuda/backend.h"

namespace yeoul::test {

inline bool on_gpu() {
    const char* variable = std::getenv("YEOUL_TEST_BACKENDS");
    return variable != nullptr && std::string(variable) == "cuda";
}

/// Device 0 through libyeoul_cuda.so. Throws "skipped: ..." where there is none: ctest shows such a
/// test as skipped.
inline std::unique_ptr<Backend> make_gpu_backend() {
    const CudaModule module;
    Problem problem = module.problem();
    if (!problem)
        problem = cuda_problem(module.report(), 0);
    if (problem)
        throw std::runtime_error("skipped: " + problem.what);
    const char* sm = std::getenv("YEOUL_CUDA_SM"); // 75 takes a T4's path on a newer GPU
    return module.make({.device = 0, .sm = sm ? std::atoi(sm) : 0, .gemm_table = {}});
}

inline std::unique_ptr<Backend> make_fp16_backend() {
    return on_gpu() ? make_gpu_backend() : cuda::make_backend({});
}

} // namespace yeoul::test

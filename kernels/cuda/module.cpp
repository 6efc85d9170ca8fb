// The door of libyeoul_cuda.so: see kernels/cuda_module.h.
#include <cstdlib>
#include <cstring>

#include <cublasLt.h>
#include <cuda_runtime.h>

#include "kernels/cuda/backend.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda_module.h"

extern "C" {

YEOUL_API const char* yeoul_cuda_interface() {
    return YEOUL_INTERFACE;
}

YEOUL_API void yeoul_cuda_report(yeoul::CudaReport& report) {
    YEOUL_CUDA(cudaRuntimeGetVersion(&report.runtime));
    YEOUL_CUDA(cudaDriverGetVersion(&report.driver));
    const size_t version = cublasLtGetVersion();
    report.libraries = {"CUDA runtime " + std::to_string(report.runtime / 1000) + "." +
                            std::to_string(report.runtime % 1000 / 10),
                        "cuBLASLt " + std::to_string(version / 10000) + "." +
                            std::to_string(version / 100 % 100) + "." +
                            std::to_string(version % 100)};
    report.targets = YEOUL_CUDA_TARGETS;
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess) {
        (void)cudaGetLastError(); // no device, or a driver too old: its version says which
        return;
    }
    for (int i = 0; i < count; ++i) {
        cudaDeviceProp device{};
        YEOUL_CUDA(cudaGetDeviceProperties(&device, i));
        report.devices.push_back(
            {device.name, 10 * device.major + device.minor, device.totalGlobalMem});
    }
}

YEOUL_API yeoul::Backend* yeoul_cuda_backend(const yeoul::CudaOptions& options) {
    yeoul::cuda::BackendParts parts;
    parts.device = options.device;
    parts.sm = options.sm;
    // Compiling every kernel from PTX, as measurements of an older GPU's path do, is a switch of
    // the whole process, and cuBLASLt has no PTX to compile.
    const char* from_ptx = std::getenv("CUDA_FORCE_PTX_JIT");
    // A sanitizer is to look at our kernels only.
    const char* named = std::getenv("YEOUL_CUBLASLT");
    const bool left_out = named != nullptr && std::strcmp(named, "none") == 0;
    if (!left_out && (from_ptx == nullptr || *from_ptx != '1'))
        parts.library = yeoul::cuda::make_cublaslt();
    if (!options.gemm_table.empty())
        parts.table = std::make_unique<yeoul::cuda::GemmTable>(
            yeoul::cuda::GemmTable::parse(options.gemm_table));
    return yeoul::cuda::make_backend(std::move(parts)).release();
}

} // extern "C"

// The emulated GPU as libyeoul_cuda.so. YEOUL_TEST_CUDA names what is wrong with the machine:
// other_build, no_driver, old_driver, no_gpu, old_gpu, old_second, no_kernel, new_ptx, busy_gpu;
// unset or empty: nothing. YEOUL_TEST_LOSE_GPU names a pipe: what comes out of it loses the GPU.
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include <cuda_runtime.h>

#include "kernels/cuda/backend.h"
#include "kernels/cuda_module.h"
#include "tests/simt/include/simt/config.h"

namespace {

std::string trouble() {
    const char* text = std::getenv("YEOUL_TEST_CUDA");
    return text ? text : "";
}

cudaError_t kernel_error() {
    return trouble() == "no_kernel"  ? cudaErrorNoKernelImageForDevice
           : trouble() == "new_ptx"  ? cudaErrorUnsupportedPtxVersion
           : trouble() == "busy_gpu" ? cudaErrorDevicesUnavailable
                                     : cudaSuccess;
}

void lose_gpu_when_told() {
    const char* pipe = std::getenv("YEOUL_TEST_LOSE_GPU");
    if (!pipe)
        return;
    std::thread([name = std::string(pipe)] {
        if (std::ifstream(name).get() != std::ifstream::traits_type::eof())
            simt::lose_device("a test");
    }).detach(); // it waits for as long as the program runs
}

} // namespace

extern "C" {

YEOUL_API const char* yeoul_cuda_interface() {
    return trouble() == "other_build" ? "another word" : YEOUL_INTERFACE;
}

YEOUL_API void yeoul_cuda_report(yeoul::CudaReport& report) {
    report.runtime = 13000;
    report.driver = trouble() == "no_driver" ? 0 : trouble() == "old_driver" ? 12040 : 13000;
    report.libraries = {"CUDA runtime of the emulator"};
    report.targets = "emulated";
    if (trouble() == "old_gpu")
        report.devices = {{"Tesla V100", 70, size_t{16} << 30}};
    else if (trouble() != "no_driver" && trouble() != "no_gpu")
        report.devices = {{"emulated T4", 75, size_t{15} << 30}};
    if (trouble() == "old_second")
        report.devices.push_back({"Tesla V100", 70, size_t{16} << 30});
}

YEOUL_API yeoul::Backend* yeoul_cuda_backend(const yeoul::CudaOptions& options) {
    simt::refuse_kernels(kernel_error());
    lose_gpu_when_told();
    yeoul::cuda::BackendParts parts;
    parts.device = options.device;
    parts.sm = options.sm;
    parts.kind = "cuda";
    if (!options.gemm_table.empty())
        parts.table = std::make_unique<yeoul::cuda::GemmTable>(
            yeoul::cuda::GemmTable::parse(options.gemm_table));
    return yeoul::cuda::make_backend(std::move(parts)).release();
}

} // extern "C"

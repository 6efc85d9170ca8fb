#include "engine/cuda_module.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace yeoul {
namespace {

constexpr const char* kFile = "libyeoul_cuda.so";
constexpr int kLeastSm = 75;

template <class Function>
Function* find(void* handle, const char* name) {
    return reinterpret_cast<Function*>(dlsym(handle, name));
}

/// The folder of the library or program that this code is in.
std::filesystem::path own_folder() {
    Dl_info info{};
    if (dladdr(reinterpret_cast<const void*>(&own_folder), &info) == 0 || !info.dli_fname)
        return {};
    std::error_code none;
    return std::filesystem::canonical(info.dli_fname, none).parent_path();
}

std::string find_file() {
    if (const char* named = std::getenv("YEOUL_CUDA_LIBRARY"); named && *named)
        return named;
    const std::filesystem::path folder = own_folder();
    if (!folder.empty())
        for (const std::filesystem::path& path : {folder / kFile, folder / ".." / "lib" / kFile}) {
            std::error_code none;
            if (std::filesystem::exists(path, none))
                return std::filesystem::canonical(path, none).string();
        }
    return kFile;
}

std::string last_error() {
    const char* text = dlerror();
    return text ? text : "unknown reason";
}

} // namespace

CudaModule::CudaModule() {
    const Problem absent = {"the CUDA backend (" + std::string(kFile) + ") is not installed",
                            "for a GPU, build with nvcc"};
    path_ = find_file();
    if (path_ == "none") {
        problem_ = absent;
        return;
    }
    // NODELETE: what it made must not outlive its code, whoever closes it.
    handle_ = dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle_) {
        const std::string why = last_error();
        const bool itself = why.starts_with(kFile); // else a library that it needs
        problem_ = path_ == kFile && itself
                       ? absent
                       : Problem{"the CUDA backend does not load: " + why,
                                 "install the CUDA library it names, or add its folder to "
                                 "LD_LIBRARY_PATH",
                                 true};
        return;
    }
    auto* const interface = find<CudaInterface>(handle_, "yeoul_cuda_interface");
    if (!interface || std::string(interface()) != YEOUL_INTERFACE)
        problem_ = {"the CUDA backend " + path_ + " is of another build",
                    "install program and libraries of one version", true};
}

CudaReport CudaModule::report() const {
    CudaReport report;
    if (auto* const make_report = find<CudaMakeReport>(handle_, "yeoul_cuda_report"))
        make_report(report);
    return report;
}

std::unique_ptr<Backend> CudaModule::make(const CudaOptions& options) const {
    auto* const make_backend = find<CudaMakeBackend>(handle_, "yeoul_cuda_backend");
    YEOUL_REQUIRE(make_backend, "the CUDA backend has no yeoul_cuda_backend");
    return std::unique_ptr<Backend>(make_backend(options));
}

std::string cuda_version(int version) {
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

Problem cuda_problem(const CudaReport& report, int index) {
    const std::string needed = cuda_version(report.runtime);
    if (report.driver == 0)
        return {"no NVIDIA driver answers",
                "for a GPU, install a driver that serves CUDA " + needed};
    // A driver serves programs of its own major version, older minors included.
    if (report.driver / 1000 < report.runtime / 1000) {
        const std::string package = std::to_string(report.runtime / 1000) + "-" +
                                    std::to_string(report.runtime % 1000 / 10);
        return {"the NVIDIA driver is too old: it serves CUDA " + cuda_version(report.driver) +
                    ", this build needs " + needed,
                "update the driver" +
                    std::string(report.runtime / 1000 == 13 ? " to 580 or newer" : "") +
                    ", or on a data-centre GPU install cuda-compat-" + package,
                true};
    }
    if (report.devices.empty())
        return {"the driver shows no GPU",
                "check nvidia-smi and CUDA_VISIBLE_DEVICES; in a container, start it with its GPUs",
                true};
    if (index < 0 || index >= static_cast<int>(report.devices.size()))
        return {"there is no CUDA device " + std::to_string(index) + ", this machine has " +
                    std::to_string(report.devices.size()),
                "take cuda:0 to cuda:" + std::to_string(report.devices.size() - 1), true};
    const CudaDevice& device = report.devices[index];
    if (device.sm < kLeastSm)
        return {device.name + " is sm_" + std::to_string(device.sm) + ", older than sm_" +
                    std::to_string(kLeastSm),
                "take a GPU of the Turing generation (T4) or newer, or --device cpu", true};
    return {};
}

std::string cuda_fix(const Error& error) {
    const std::string_view text = error.what(); // names CUDA's error, where it is one
    const auto names = [&](std::initializer_list<std::string_view> errors) {
        return std::any_of(errors.begin(), errors.end(),
                           [&](std::string_view one) { return text.find(one) != text.npos; });
    };
    if (error.code() == ErrorCode::out_of_memory || names({"cudaErrorDevicesUnavailable"}))
        return "see what else uses the GPU with nvidia-smi";
    if (names({"cudaErrorNoKernelImageForDevice"}))
        return "build with this GPU's compute capability in YEOUL_CUDA_ARCHITECTURES";
    if (names({"cudaErrorUnsupportedPtxVersion", "cudaErrorInvalidPtx",
               "cudaErrorJitCompilerNotFound", "cudaErrorInsufficientDriver",
               "cudaErrorSystemDriverMismatch", "cudaErrorCompatNotSupportedOnDevice"}))
        return "update the NVIDIA driver, or build with the CUDA toolkit that it came with";
    if (error.code() == ErrorCode::invalid_argument)
        return "correct YEOUL_CUDA_SM, or unset it";
    return "see with nvidia-smi whether the GPU works";
}

} // namespace yeoul

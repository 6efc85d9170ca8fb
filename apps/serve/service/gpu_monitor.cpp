#include "apps/serve/service/gpu_monitor.h"

#include <array>
#include <dlfcn.h>

#include <yeoul/error.h>

namespace yeoul::serve {
namespace {

// nvml.h, which drivers do not bring: results, structures and functions have kept their binary
// interface since their version 2.
constexpr int kSuccess = 0;
constexpr unsigned kSmClock = 1;

void close_library(void* handle) {
    ::dlclose(handle);
}

} // namespace

struct GpuMonitor::Library {
    struct Utilization {
        unsigned gpu = 0, memory = 0; // percent
    };
    struct Memory {
        unsigned long long total = 0, free = 0, used = 0;
    };

    explicit Library(const std::string& path)
        : handle(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL), close_library) {
        if (!handle)
            throw Error(ErrorCode::device, "NVML cannot be opened: " + std::string(::dlerror()));
        load(init, "nvmlInit_v2");
        load(shutdown, "nvmlShutdown");
        load(by_pci, "nvmlDeviceGetHandleByPciBusId_v2");
        load(uuid, "nvmlDeviceGetUUID");
        load(utilization, "nvmlDeviceGetUtilizationRates");
        load(memory, "nvmlDeviceGetMemoryInfo");
        load(power, "nvmlDeviceGetPowerUsage");
        load(power_limit, "nvmlDeviceGetEnforcedPowerLimit");
        load(energy, "nvmlDeviceGetTotalEnergyConsumption");
        load(clock, "nvmlDeviceGetClockInfo");
        load(throttling, "nvmlDeviceGetCurrentClocksThrottleReasons");
        if (!throttling) // as drivers from 535 on call it
            load(throttling, "nvmlDeviceGetCurrentClocksEventReasons");
        if (!init || !shutdown || !by_pci || init() != kSuccess)
            throw Error(ErrorCode::device, "NVML in '" + path + "' cannot be started");
    }
    ~Library() { shutdown(); }
    Library(const Library&) = delete;
    Library& operator=(const Library&) = delete;

    template <class Function>
    void load(Function*& function, const char* name) {
        function = reinterpret_cast<Function*>(::dlsym(handle.get(), name));
    }

    std::unique_ptr<void, void (*)(void*)> handle;
    // Null where the library does not have it.
    int (*init)() = nullptr;
    int (*shutdown)() = nullptr;
    int (*by_pci)(const char* address, void** device) = nullptr;
    int (*uuid)(void* device, char* text, unsigned size) = nullptr;
    int (*utilization)(void* device, Utilization* percent) = nullptr;
    int (*memory)(void* device, Memory* bytes) = nullptr;
    int (*power)(void* device, unsigned* milliwatts) = nullptr;
    int (*power_limit)(void* device, unsigned* milliwatts) = nullptr;
    int (*energy)(void* device, unsigned long long* millijoules) = nullptr;
    int (*clock)(void* device, unsigned domain, unsigned* megahertz) = nullptr;
    int (*throttling)(void* device, unsigned long long* reasons) = nullptr;
};

GpuMonitor::GpuMonitor(const std::string& pci_address, const std::string& library)
    : library_(std::make_unique<Library>(library)) {
    if (library_->by_pci(pci_address.c_str(), &device_) != kSuccess)
        throw Error(ErrorCode::device, "NVML knows no GPU at " + pci_address);
    std::array<char, 96> text{}; // NVML_DEVICE_UUID_V2_BUFFER_SIZE
    if (library_->uuid && library_->uuid(device_, text.data(), text.size()) == kSuccess)
        uuid_ = text.data();
}

GpuMonitor::~GpuMonitor() = default;

GpuUse GpuMonitor::read() const {
    const auto ask = [this](auto* function, auto value, auto... more) {
        return function && function(device_, more..., &value) == kSuccess ? value
                                                                          : decltype(value){};
    };
    const Library::Memory memory = ask(library_->memory, Library::Memory{});
    return {.utilization = ask(library_->utilization, Library::Utilization{}).gpu / 100.0,
            .used_bytes = static_cast<int64_t>(memory.used),
            .total_bytes = static_cast<int64_t>(memory.total),
            .watts = ask(library_->power, 0U) / 1e3,
            .limit_watts = ask(library_->power_limit, 0U) / 1e3,
            .joules = static_cast<double>(ask(library_->energy, 0ULL)) / 1e3,
            .sm_hertz = ask(library_->clock, 0U, kSmClock) * 1e6,
            .throttle_reasons = ask(library_->throttling, 0ULL)};
}

} // namespace yeoul::serve

// What the driver says of a GPU, by NVML, which is opened at run time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace yeoul::serve {

/// What the driver does not say stays 0.
struct GpuUse {
    double utilization = 0; // share of the last sampling period in which a kernel ran, 0 to 1
    int64_t used_bytes = 0, total_bytes = 0; // of the whole GPU, other programs included
    double watts = 0, limit_watts = 0;
    double joules = 0;   // since the driver was loaded
    double sm_hertz = 0; // clock of the SMs
    uint64_t throttle_reasons = 0;
};

/// A bit of `GpuUse::throttle_reasons` (nvml.h, nvmlClocksEventReasons; idling is none).
struct ThrottleReason {
    uint64_t bit;
    const char* name;
};
inline constexpr ThrottleReason kThrottleReasons[] = {
    {0x2, "application_clocks"},   {0x4, "software_power_cap"}, {0x8, "hardware_slowdown"},
    {0x10, "sync_boost"},          {0x20, "software_thermal"},  {0x40, "hardware_thermal"},
    {0x80, "hardware_power_brake"}};

class GpuMonitor {
public:
    static constexpr const char* kLibrary = "libnvidia-ml.so.1"; // it comes with the driver

    /// Watches the GPU at `pci_address`, "00000000:00:1e.0". Throws `Error`, code `device`, when
    /// the library or the GPU is not there.
    explicit GpuMonitor(const std::string& pci_address, const std::string& library = kLibrary);
    ~GpuMonitor();
    GpuMonitor(const GpuMonitor&) = delete;
    GpuMonitor& operator=(const GpuMonitor&) = delete;

    const std::string& uuid() const { return uuid_; } // "GPU-..."
    GpuUse read() const;

private:
    struct Library;
    std::unique_ptr<Library> library_;
    void* device_ = nullptr;
    std::string uuid_;
};

} // namespace yeoul::serve

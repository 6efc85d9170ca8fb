#include "apps/serve/service/gpu_families.h"

#include <algorithm>

namespace yeoul::serve {

GpuFamilies::GpuFamilies(prometheus::Registry& registry, const std::string& uuid) {
    const prometheus::Labels gpu = {{"gpu_uuid", uuid}};
    const auto gauge = [&](const char* name, const char* help, double (*of)(const GpuUse&)) {
        auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(registry);
        values_.push_back({&family.Add(gpu), of});
    };
    const auto utilization = [](const GpuUse& use) { return use.utilization; };
    const auto used = [](const GpuUse& use) { return static_cast<double>(use.used_bytes); };
    const auto total = [](const GpuUse& use) { return static_cast<double>(use.total_bytes); };
    const auto watts = [](const GpuUse& use) { return use.watts; };
    const auto limit = [](const GpuUse& use) { return use.limit_watts; };
    gauge("yeoul_gpu_utilization_ratio", "Share of the time in which a kernel ran", utilization);
    gauge("yeoul_gpu_memory_used_bytes", "Of the whole GPU, other programs included", used);
    gauge("yeoul_gpu_memory_total_bytes", "Of the whole GPU", total);
    gauge("yeoul_gpu_power_watts", "Power drawn", watts);
    gauge("yeoul_gpu_power_limit_watts", "The power limit in force", limit);
    gauge("yeoul_gpu_sm_clock_hertz", "Clock of the SMs",
          [](const GpuUse& use) { return use.sm_hertz; });
    gauge("nv_gpu_utilization", "Share of the time in which a kernel ran", utilization);
    gauge("nv_gpu_memory_used_bytes", "Of the whole GPU", used);
    gauge("nv_gpu_memory_total_bytes", "Of the whole GPU", total);
    gauge("nv_gpu_power_usage", "Watts", watts);
    gauge("nv_gpu_power_limit", "Watts", limit);
    auto& throttled = prometheus::BuildGauge()
                          .Name("yeoul_gpu_throttled")
                          .Help("1 while the clocks are held down, by reason")
                          .Register(registry);
    for (const ThrottleReason& reason : kThrottleReasons)
        throttling_.push_back(&throttled.Add({{"gpu_uuid", uuid}, {"reason", reason.name}}));
    for (const char* name : {"yeoul_gpu_energy_joules_total", "nv_energy_consumption"})
        joules_.push_back(&prometheus::BuildCounter()
                               .Name(name)
                               .Help("Joules since the driver was loaded")
                               .Register(registry)
                               .Add(gpu));
}

void GpuFamilies::refresh(const GpuUse& use) {
    for (const Value& value : values_)
        value.gauge->Set(value.of(use));
    for (size_t i = 0; i < throttling_.size(); ++i)
        throttling_[i]->Set(use.throttle_reasons & kThrottleReasons[i].bit ? 1 : 0);
    for (prometheus::Counter* joules : joules_)
        joules->Increment(std::max(0.0, use.joules - joules->Value()));
}

} // namespace yeoul::serve

// A libnvidia-ml.so.1 for tests, as far as it is called. It knows one GPU, at 00000000:00:1e.0;
// YEOUL_TEST_NVML=old leaves out what old cards do not say.
#include <atomic>
#include <cstdlib>
#include <cstring>

namespace {

int started = 0;
std::atomic<bool> held = false, asked = false;
constexpr int kSuccess = 0, kNotFound = 6, kNotSupported = 3, kUninitialized = 1;

bool old_card() {
    const char* kind = std::getenv("YEOUL_TEST_NVML");
    return kind && std::strcmp(kind, "old") == 0;
}

template <class Value>
int give(Value* into, Value value) {
    if (started == 0)
        return kUninitialized;
    *into = value;
    return kSuccess;
}

} // namespace

#pragma GCC visibility push(default)
extern "C" {

int nvmlInit_v2() {
    ++started;
    return kSuccess;
}
int nvmlShutdown() {
    --started;
    return kSuccess;
}
int fake_nvml_started() {
    return started;
}
/// While it is held, the power is not told.
void fake_nvml_hold(bool hold) {
    held = hold;
    held.notify_all();
}
void fake_nvml_wait_until_asked() {
    asked.wait(false);
}
int nvmlDeviceGetHandleByPciBusId_v2(const char* address, void** device) {
    if (std::strcmp(address, "00000000:00:1e.0") != 0)
        return kNotFound;
    return give(device, static_cast<void*>(&started));
}
int nvmlDeviceGetUUID(void*, char* text, unsigned size) {
    std::strncpy(text, "GPU-fake", size);
    return kSuccess;
}
int nvmlDeviceGetUtilizationRates(void*, unsigned* percent) {
    return give(percent, 42U) | give(percent + 1, 17U);
}
int nvmlDeviceGetMemoryInfo(void*, unsigned long long* bytes) {
    return give(bytes, 16ULL << 30) | give(bytes + 1, 13ULL << 30) | give(bytes + 2, 3ULL << 30);
}
int nvmlDeviceGetPowerUsage(void*, unsigned* milliwatts) {
    asked = true;
    asked.notify_all();
    held.wait(true);
    return give(milliwatts, 61'500U);
}
int nvmlDeviceGetEnforcedPowerLimit(void*, unsigned* milliwatts) {
    return give(milliwatts, 70'000U);
}
int nvmlDeviceGetTotalEnergyConsumption(void*, unsigned long long* millijoules) {
    return old_card() ? kNotSupported : give(millijoules, 1'234'000ULL);
}
int nvmlDeviceGetClockInfo(void*, unsigned domain, unsigned* megahertz) {
    return give(megahertz, domain == 1 ? 1590U : 5001U);
}
int nvmlDeviceGetCurrentClocksEventReasons(void*, unsigned long long* reasons) {
    return give(reasons, 0x4ULL | 0x1ULL);
}
}
#pragma GCC visibility pop

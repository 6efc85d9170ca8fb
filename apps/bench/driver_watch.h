// Calls that reach CUDA, as its profiling interface reports them: what confirms, or not, that an
// engine asks the driver for no memory and waits for no whole GPU while it serves.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace yeoul::bench {

enum class DriverCall { other, allocation, release, device_synchronization };
constexpr size_t kDriverCalls = 4;

/// By the name of a function of the driver ("cuMemAlloc_v2") or the runtime ("cudaFree_v3020").
/// What takes memory of the GPU beside its purpose, such as loading a module or instantiating a
/// graph, is an allocation; pinned host memory counts as device memory does.
DriverCall kind_of_driver_call(std::string_view function);

/// Reports every call of the process to both interfaces; a call of the runtime is seen again as
/// what it asks of the driver.
class DriverWatch {
public:
    /// By CUPTI in `library`, opened as the loader finds it. Throws `Error`, code `device`, when it
    /// is not there, or has a subscriber already, such as a profiler.
    explicit DriverWatch(const std::string& library);
    ~DriverWatch();
    DriverWatch(const DriverWatch&) = delete;
    DriverWatch& operator=(const DriverWatch&) = delete;

    struct Seen {
        std::array<uint64_t, kDriverCalls> calls = {}; // by `DriverCall`
        std::vector<std::string> functions;            // whose calls are not `other`
        uint64_t of(DriverCall kind) const { return calls[static_cast<size_t>(kind)]; }
    };
    /// Since the last `take`. Safe beside calls.
    Seen take();

private:
    // Of cupti_callbacks.h, which have kept their binary interface since CUDA 4.
    enum Domain : int { kDriver = 1, kRuntime = 2 };
    enum Site : int { kEnter = 0 };
    static constexpr uint32_t kMostFunctions = 2048; // of a domain: CUDA 13.0 has 806

    struct Library;
    struct Function {
        std::string name; // empty: there is none
        DriverCall kind{};
        std::atomic<uint64_t> calls = 0;
    };
    using Functions = std::array<Function, kMostFunctions>;

    static void on_call(void* self, int domain, uint32_t id, const void* data);
    Functions& functions_of(int domain) { return domain == kDriver ? driver_ : runtime_; }
    void name_functions(int domain);

    std::unique_ptr<Library> library_;
    Functions driver_, runtime_;
    void* subscriber_ = nullptr;
};

/// The names that CUPTI may have, the newest first.
std::vector<std::string> cupti_names();

} // namespace yeoul::bench

// A libcupti.so for tests, as far as it is called. It reports an allocation when the driver's
// domain is enabled, and from then on a launch each millisecond; YEOUL_TEST_CUPTI names a function
// that is called beside it, or is "silent", "refuses" or "busy".
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <thread>

namespace {

using Callback = void (*)(void* user, int domain, uint32_t id, const void* data);

struct CallbackData {
    int site; // 0: enter, 1: exit
    const char* function;
};

constexpr int kSuccess = 0, kInvalidParameter = 1, kMultipleSubscribers = 39;
constexpr int kDriver = 1, kRuntime = 2;
constexpr const char* kDriverNames[] = {"",
                                        "cuInit",
                                        "cuLaunchKernel",
                                        "cuMemAlloc_v2",
                                        "cuMemFree_v2",
                                        "cuCtxSynchronize",
                                        "cuMemFree \"quoted\""};
constexpr const char* kRuntimeNames[] = {"", "cudaMalloc_v3020", "cudaLaunchKernel_v7000"};

Callback callback = nullptr;
void* user = nullptr;
std::atomic<bool> enabled[3] = {}; // by domain
std::atomic<bool> stop = false;
std::thread reporter;

bool told_to(const char* word) {
    const char* kind = std::getenv("YEOUL_TEST_CUPTI");
    return kind && std::strcmp(kind, word) == 0;
}

template <size_t count>
void report(int domain, const char* const (&names)[count], const char* function) {
    if (!enabled[domain])
        return;
    for (uint32_t id = 1; id < count; ++id)
        if (std::strcmp(names[id], function) == 0)
            for (int site : {0, 1}) {
                const CallbackData data{site, function};
                callback(user, domain, id, &data);
            }
}
void report(const char* function) {
    report(kDriver, kDriverNames, function);
    report(kRuntime, kRuntimeNames, function);
}

} // namespace

#pragma GCC visibility push(default)
extern "C" {

int cuptiGetResultString(int result, const char** text) {
    *text = result == kMultipleSubscribers ? "CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED"
                                           : "CUPTI_ERROR_INVALID_PARAMETER";
    return kSuccess;
}
int cuptiGetCallbackName(int domain, uint32_t id, const char** name) {
    const bool driver = domain == kDriver;
    if (id == 0 || id >= (driver ? std::size(kDriverNames) : std::size(kRuntimeNames)))
        return kInvalidParameter;
    *name = driver ? kDriverNames[id] : kRuntimeNames[id];
    return kSuccess;
}
int cuptiSubscribe(void** subscriber, Callback call, void* with) {
    if (told_to("busy"))
        return kMultipleSubscribers;
    stop = false;
    callback = call;
    user = with;
    *subscriber = &user;
    return kSuccess;
}
int cuptiEnableDomain(uint32_t, void*, int domain) {
    if (told_to("refuses"))
        return kInvalidParameter;
    if (told_to("silent"))
        return kSuccess;
    enabled[domain] = true;
    if (domain != kDriver)
        return kSuccess;
    report("cuMemAlloc_v2");
    reporter = std::thread([] {
        const char* function = std::getenv("YEOUL_TEST_CUPTI");
        while (!stop) {
            report("cuLaunchKernel");
            if (function)
                report(function);
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    });
    return kSuccess;
}
int cuptiUnsubscribe(void*) {
    stop = true;
    if (reporter.joinable())
        reporter.join();
    return kSuccess;
}

} // extern "C"

// A libcupti.so for tests, as far as it is called. It reports an allocation when it is enabled, and
// from then on a launch each millisecond; YEOUL_TEST_CUPTI names a function that is called later as
// well, or is "silent", "refuses" or "busy".
#include <atomic>
#include <chrono>
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
constexpr int kDriver = 1;
constexpr const char* kDriverNames[] = {
    "", "cuInit", "cuLaunchKernel", "cuMemAlloc_v2", "cuMemFree_v2", "cuCtxSynchronize"};
constexpr const char* kRuntimeNames[] = {"", "cudaMalloc_v3020", "cudaLaunchKernel_v7000"};

Callback callback = nullptr;
void* user = nullptr;
std::atomic<bool> stop = false;
std::thread reporter;

bool told_to(const char* word) {
    const char* kind = std::getenv("YEOUL_TEST_CUPTI");
    return kind && std::strcmp(kind, word) == 0;
}

void report(const char* function) {
    for (uint32_t id = 1; id < std::size(kDriverNames); ++id)
        if (std::strcmp(kDriverNames[id], function) == 0)
            for (int site : {0, 1}) {
                const CallbackData data{site, function};
                callback(user, kDriver, id, &data);
            }
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
    callback = call;
    user = with;
    *subscriber = &user;
    return kSuccess;
}
int cuptiEnableDomain(uint32_t, void*, int domain) {
    if (told_to("refuses"))
        return kInvalidParameter;
    if (domain != kDriver || told_to("silent"))
        return kSuccess;
    report("cuMemAlloc_v2");
    reporter = std::thread([] {
        // What is asked for after the start: the engine has been opened by then.
        const auto later = std::chrono::steady_clock::now() + std::chrono::seconds(1);
        const char* function = std::getenv("YEOUL_TEST_CUPTI");
        while (!stop) {
            report("cuLaunchKernel");
            if (function && std::chrono::steady_clock::now() > later)
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

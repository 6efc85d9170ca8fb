#include "apps/bench/driver_watch.h"

#include <algorithm>
#include <dlfcn.h>

#include <yeoul/error.h>

namespace yeoul::bench {
namespace {

constexpr int kSuccess = 0;
using Callback = void (*)(void* user, int domain, uint32_t id, const void* data);

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

bool begins_with_one_of(std::string_view text, std::initializer_list<std::string_view> heads) {
    return std::any_of(heads.begin(), heads.end(),
                       [&](std::string_view head) { return text.substr(0, head.size()) == head; });
}

} // namespace

DriverCall kind_of_driver_call(std::string_view function) {
    for (const std::string_view word : {"ModuleLoad", "LibraryLoad", "GraphInstantiate"})
        if (contains(function, word))
            return DriverCall::allocation;
    // Nodes of a graph and questions about memory only have the words in their names.
    for (const std::string_view word : {"Graph", "Get", "Set", "Retain"})
        if (contains(function, word))
            return DriverCall::other;
    if (begins_with_one_of(function,
                           {"cuCtxSynchronize", "cudaDeviceSynchronize", "cudaThreadSynchronize"}))
        return DriverCall::device_synchronization;
    if (begins_with_one_of(function, {"cuMemFree",
                                      "cu64MemFree",
                                      "cudaFree",
                                      "cuMemRelease",
                                      "cuMemUnmap",
                                      "cuMemHostUnregister",
                                      "cudaHostUnregister",
                                      "cuArrayDestroy",
                                      "cuMipmappedArrayDestroy",
                                      "cuMemPoolDestroy",
                                      "cuMemPoolTrim",
                                      "cudaMemPoolDestroy",
                                      "cudaMemPoolTrim",
                                      "cuModuleUnload",
                                      "cuLibraryUnload",
                                      "cudaLibraryUnload",
                                      "cuCtxDestroy",
                                      "cuDevicePrimaryCtxRelease",
                                      "cuDevicePrimaryCtxReset",
                                      "cudaDeviceReset",
                                      "cudaThreadExit"}))
        return DriverCall::release;
    if (contains(function, "Alloc") || // cuMemHostAlloc, cudaHostAlloc, cuMemAllocAsync
        begins_with_one_of(function, {"cudaMalloc", "cuMemCreate", "cuMemMap", "cuMemHostRegister",
                                      "cudaHostRegister", "cuMemPoolCreate", "cudaMemPoolCreate",
                                      "cuArrayCreate", "cuArray3DCreate", "cuMipmappedArrayCreate",
                                      "cuCtxCreate"}))
        return DriverCall::allocation;
    return DriverCall::other;
}

struct DriverWatch::Library {
    explicit Library(const std::string& path)
        : handle(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
        if (!handle)
            throw Error(ErrorCode::device, "CUPTI cannot be opened: " + std::string(::dlerror()));
        load(subscribe, "cuptiSubscribe");
        load(unsubscribe, "cuptiUnsubscribe");
        load(enable_domain, "cuptiEnableDomain");
        load(name, "cuptiGetCallbackName");
        load(why, "cuptiGetResultString");
    }

    template <class Function>
    void load(Function*& function, const char* symbol) {
        function = reinterpret_cast<Function*>(::dlsym(handle, symbol));
        if (!function)
            throw Error(ErrorCode::device, "this is no CUPTI: it has no " + std::string(symbol));
    }
    void check(int result, const char* what) const {
        if (result == kSuccess)
            return;
        const char* reason = nullptr;
        if (why(result, &reason) != kSuccess || !reason)
            reason = "unknown reason";
        throw Error(ErrorCode::device, std::string(what) + " failed: " + reason + " (" +
                                           std::to_string(result) +
                                           "); CUPTI needs a GPU's driver and no other profiler");
    }

    void* handle; // stays open: the driver may still be about to call what is in it
    int (*subscribe)(void** subscriber, Callback callback, void* user) = nullptr;
    int (*unsubscribe)(void* subscriber) = nullptr;
    int (*enable_domain)(uint32_t enable, void* subscriber, int domain) = nullptr;
    int (*name)(int domain, uint32_t id, const char** name) = nullptr;
    int (*why)(int result, const char** text) = nullptr;
};

DriverWatch::DriverWatch(const std::string& library)
    : library_(std::make_unique<Library>(library)) {
    name_functions(kDriver);
    name_functions(kRuntime);
    library_->check(library_->subscribe(&subscriber_, on_call, this), "cuptiSubscribe");
    try {
        library_->check(library_->enable_domain(1, subscriber_, kDriver), "cuptiEnableDomain");
        library_->check(library_->enable_domain(1, subscriber_, kRuntime), "cuptiEnableDomain");
    } catch (...) {
        library_->unsubscribe(subscriber_);
        throw;
    }
}

DriverWatch::~DriverWatch() {
    library_->unsubscribe(subscriber_); // fails only for a subscriber that CUPTI does not know
}

void DriverWatch::name_functions(int domain) {
    for (uint32_t id = 1; id < kMostFunctions; ++id) {
        const char* name = nullptr;
        if (library_->name(domain, id, &name) != kSuccess || !name)
            continue;
        Function& function = functions_of(domain)[id];
        function.name = name;
        function.kind = kind_of_driver_call(name);
    }
}

void DriverWatch::on_call(void* self, int domain, uint32_t id, const void* data) {
    // CUpti_CallbackData begins with the site.
    if (*static_cast<const int*>(data) != kEnter || id >= kMostFunctions)
        return;
    ++static_cast<DriverWatch*>(self)->functions_of(domain)[id].calls;
}

DriverWatch::Seen DriverWatch::take() {
    Seen seen;
    for (const int domain : {kDriver, kRuntime})
        for (Function& function : functions_of(domain)) {
            const uint64_t calls = function.calls.exchange(0);
            seen.calls[static_cast<size_t>(function.kind)] += calls;
            if (calls > 0 && function.kind != DriverCall::other)
                seen.functions.push_back(function.name);
        }
    return seen;
}

std::vector<std::string> cupti_names() {
    return {"libcupti.so.13", "libcupti.so.12", "libcupti.so"};
}

} // namespace yeoul::bench

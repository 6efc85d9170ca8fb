// The device: what it is, its errors, its memory, and launches on it.
#include "runtime.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "block.h"
#include "symbols.h"

using simt::detail::Runtime;

namespace {

constexpr size_t kTotalBytes = size_t{15} << 30; // what a T4 leaves of its 16 GB
constexpr size_t kSharedWithoutOptIn = 48 << 10;

// This thread's last error, and the words for it.
thread_local cudaError_t t_last = cudaSuccess, t_explained = cudaSuccess;
thread_local std::string t_explanation;

const char* generic_text(cudaError_t error) {
    switch (error) {
    case cudaSuccess:
        return "no error";
    case cudaErrorInvalidValue:
        return "invalid argument";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorInvalidConfiguration:
        return "invalid configuration argument";
    case cudaErrorInvalidDevice:
        return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle:
        return "invalid resource handle";
    case cudaErrorNotReady:
        return "device not ready";
    case cudaErrorLaunchFailure:
        return "unspecified launch failure";
    default:
        return "an error";
    }
}

cudaError_t allocate(void** data, size_t bytes) {
    if (bytes > kTotalBytes || posix_memalign(data, 256, bytes) != 0)
        return cudaErrorMemoryAllocation;
    std::memset(*data, 0xff, bytes);
    return cudaSuccess;
}

std::string extents(const dim3& x) {
    return "(" + std::to_string(x.x) + "," + std::to_string(x.y) + "," + std::to_string(x.z) + ")";
}

std::string kernel_name(const void* kernel) {
    const std::string name = simt::detail::readable(simt::detail::symbol_of(kernel));
    return name.empty() ? "a kernel" : name.substr(0, name.rfind('('));
}

// The first launch of a kernel adds its name to the file that SIMT_LAUNCHED names, which the
// process's first one makes.
void note_launch(Runtime& runtime, const void* kernel) {
    static const char* const file = std::getenv("SIMT_LAUNCHED");
    if (file == nullptr || !runtime.launched.insert(kernel).second)
        return;
    std::ofstream(file, runtime.launched.size() == 1 ? std::ios::trunc : std::ios::app)
        << kernel_name(kernel) << "\n";
}

void run_launch(const simt::Launch& launch, const std::function<void()>& body) {
    Runtime& runtime = Runtime::get();
    const dim3 grid = launch.grid, block = launch.block;
    if (simt::config().record_only) {
        const std::string symbol = simt::detail::symbol_of(launch.kernel);
        runtime.recorded.push_back({simt::detail::readable(symbol),
                                    symbol,
                                    {grid.x, grid.y, grid.z},
                                    {block.x, block.y, block.z},
                                    launch.shared_bytes});
        return;
    }
    const uint64_t seed = simt::config().seed * 0x9e3779b97f4a7c15U + ++runtime.launches;
    try {
        simt::detail::run_grid({grid, block, launch.shared_bytes, &body, seed});
    } catch (const std::runtime_error& error) {
        throw std::runtime_error(kernel_name(launch.kernel) + ", " + error.what());
    }
    note_launch(runtime, launch.kernel);
}

} // namespace

namespace simt {
namespace detail {

Runtime& Runtime::get() {
    static Runtime& runtime = *new Runtime; // threads may still end their work at exit
    return runtime;
}

cudaError_t Runtime::refuse(cudaError_t error, const std::string& why) {
    t_last = t_explained = error;
    t_explanation = std::string(generic_text(error)) + ": " + why;
    return error;
}

void Runtime::lose(const std::string& why) {
    lost = cudaErrorLaunchFailure;
    failure = why;
}

bool Runtime::holds(const void* data, size_t bytes) const {
    const auto* byte = static_cast<const unsigned char*>(data);
    auto after = device_memory.upper_bound(byte);
    if (after == device_memory.begin())
        return false;
    const auto& [start, size] = *--after;
    const size_t offset = static_cast<size_t>(byte - start);
    return offset <= size && bytes <= size - offset;
}

cudaError_t enqueue_launch(const Launch& launch, cudaStream_t stream, std::function<void()> body) {
    SIMT_ENTER(runtime);
    const dim3 grid = launch.grid, block = launch.block;
    const auto refuse = [&](cudaError_t error, const std::string& why) {
        runtime.failure = kernel_name(launch.kernel) + ": " + why;
        return runtime.refuse(error, runtime.failure);
    };
    const uint64_t threads = uint64_t{block.x} * block.y * block.z;
    if (threads == 0 || threads > kMaxThreads || block.z > 64)
        return refuse(cudaErrorInvalidConfiguration,
                      "a block of " + extents(block) + " threads, must be 1 to 1024");
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffU || grid.y > 65535 ||
        grid.z > 65535)
        return refuse(cudaErrorInvalidConfiguration, "a grid of " + extents(grid) +
                                                         " blocks, must be 1 to "
                                                         "(2147483647,65535,65535)");
    const auto found = runtime.opted_in.find(launch.kernel);
    const size_t allowed = found != runtime.opted_in.end() ? found->second : kSharedWithoutOptIn;
    if (launch.shared_bytes > allowed)
        return refuse(cudaErrorInvalidValue, std::to_string(launch.shared_bytes) +
                                                 " bytes of dynamic shared memory; it may take " +
                                                 std::to_string(allowed));
    return runtime.enqueue(
        stream, {[launch, body = std::move(body)] { run_launch(launch, body); }, {}, {}});
}

} // namespace detail

std::string last_failure() {
    Runtime& runtime = Runtime::get();
    const std::lock_guard lock(runtime.mutex);
    return runtime.failure;
}

void reset_device() {
    Runtime& runtime = Runtime::get();
    const std::lock_guard lock(runtime.mutex);
    runtime.lost = cudaErrorUnknown; // so that nothing of it runs
    for (CUstream_st* stream : runtime.streams) {
        runtime.run_all(*stream);
        stream->capture.reset();
    }
    runtime.lost = cudaSuccess;
    runtime.failure.clear();
    runtime.allocations_to_failure = 0;
    runtime.kernel_error = cudaSuccess;
    runtime.launches = 0; // so that random orders repeat
    t_last = cudaSuccess;
}

void fail_allocation(int count) {
    Runtime& runtime = Runtime::get();
    const std::lock_guard lock(runtime.mutex);
    runtime.allocations_to_failure = count;
}

void refuse_kernels(int error) {
    Runtime& runtime = Runtime::get();
    const std::lock_guard lock(runtime.mutex);
    runtime.kernel_error = static_cast<cudaError_t>(error);
}

int open_streams() {
    Runtime& runtime = Runtime::get();
    const std::lock_guard lock(runtime.mutex);
    return static_cast<int>(runtime.streams.size());
}

void lose_device(const char* why) {
    Runtime& runtime = Runtime::get();
    const std::lock_guard lock(runtime.mutex);
    runtime.lose(why);
}

std::vector<LaunchRecord> take_launches() {
    Runtime& runtime = Runtime::get();
    const std::lock_guard lock(runtime.mutex);
    return std::exchange(runtime.recorded, {});
}

} // namespace simt

const char* cudaGetErrorName(cudaError_t error) {
#define SIMT_NAME(value)                                                                           \
    case value:                                                                                    \
        return #value
    switch (error) {
        SIMT_NAME(cudaSuccess);
        SIMT_NAME(cudaErrorInvalidValue);
        SIMT_NAME(cudaErrorMemoryAllocation);
        SIMT_NAME(cudaErrorCudartUnloading);
        SIMT_NAME(cudaErrorInvalidConfiguration);
        SIMT_NAME(cudaErrorInsufficientDriver);
        SIMT_NAME(cudaErrorNoDevice);
        SIMT_NAME(cudaErrorInvalidDevice);
        SIMT_NAME(cudaErrorNoKernelImageForDevice);
        SIMT_NAME(cudaErrorDevicesUnavailable);
        SIMT_NAME(cudaErrorUnsupportedPtxVersion);
        SIMT_NAME(cudaErrorInvalidResourceHandle);
        SIMT_NAME(cudaErrorNotReady);
        SIMT_NAME(cudaErrorIllegalAddress);
        SIMT_NAME(cudaErrorLaunchFailure);
        SIMT_NAME(cudaErrorStreamCaptureUnsupported);
        SIMT_NAME(cudaErrorStreamCaptureInvalidated);
        SIMT_NAME(cudaErrorStreamCaptureIsolation);
        SIMT_NAME(cudaErrorCapturedEvent);
        SIMT_NAME(cudaErrorUnknown);
    default: // what only a GPU reports
        break;
    }
#undef SIMT_NAME
    return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
    return error == t_explained && error != cudaSuccess ? t_explanation.c_str()
                                                        : generic_text(error);
}

cudaError_t cudaGetLastError() {
    return std::exchange(t_last, Runtime::get().lost); // a lost device stays lost
}

cudaError_t cudaPeekAtLastError() {
    return t_last;
}

cudaError_t cudaGetDeviceCount(int* count) {
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    SIMT_ENTER(runtime);
    return device == 0 ? cudaSuccess
                       : runtime.refuse(cudaErrorInvalidDevice, std::to_string(device));
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
    *properties = {"emulated T4", kTotalBytes, 7, 5, simt::config().sm_count, 0, 0, 0x1e};
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
        *value = simt::config().sm_count;
        break;
    case cudaDevAttrL2CacheSize:
        *value = 4 << 20;
        break;
    case cudaDevAttrComputeCapabilityMajor:
        *value = 7;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = 5;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = static_cast<int>(simt::detail::kMaxSharedBytes);
        break;
    }
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
    SIMT_ENTER(runtime);
    *free_bytes = kTotalBytes - runtime.device_bytes;
    *total_bytes = kTotalBytes;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
    SIMT_ENTER(runtime);
    attributes->numRegs = 0;
    return runtime.kernel_error == cudaSuccess
               ? cudaSuccess
               : runtime.refuse(runtime.kernel_error, "as a test asked");
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute, int value) {
    SIMT_ENTER(runtime);
    if (value < 0 || static_cast<size_t>(value) > simt::detail::kMaxSharedBytes)
        return runtime.refuse(cudaErrorInvalidValue,
                              std::to_string(value) + " bytes of dynamic shared memory for " +
                                  kernel_name(function) + "; a block may have " +
                                  std::to_string(simt::detail::kMaxSharedBytes));
    runtime.opted_in[function] = static_cast<size_t>(value);
    return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
    SIMT_ENTER(runtime);
    const bool planned =
        runtime.allocations_to_failure > 0 && --runtime.allocations_to_failure == 0;
    if (planned || bytes > kTotalBytes - runtime.device_bytes ||
        allocate(data, bytes) != cudaSuccess)
        return runtime.refuse(cudaErrorMemoryAllocation, std::to_string(bytes) + " bytes");
    runtime.device_memory[static_cast<unsigned char*>(*data)] = bytes;
    runtime.device_bytes += bytes;
    return cudaSuccess;
}

cudaError_t cudaFree(void* data) {
    Runtime& runtime = Runtime::get();
    const std::lock_guard lock(runtime.mutex);
    if (data != nullptr) {
        const auto found = runtime.device_memory.find(static_cast<unsigned char*>(data));
        if (found == runtime.device_memory.end())
            return runtime.refuse(cudaErrorInvalidValue, "cudaFree of what cudaMalloc never gave");
        runtime.device_bytes -= found->second;
        runtime.device_memory.erase(found);
        std::free(data);
    }
    return runtime.lost != cudaSuccess ? runtime.refuse_lost() : cudaSuccess;
}

cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned) {
    SIMT_ENTER(runtime);
    if (allocate(data, bytes) != cudaSuccess)
        return runtime.refuse(cudaErrorMemoryAllocation, std::to_string(bytes) + " pinned bytes");
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void* data) {
    std::free(data);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* y, const void* x, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    SIMT_ENTER(runtime);
    const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    if ((from_device && !runtime.holds(x, bytes)) || (to_device && !runtime.holds(y, bytes)))
        return runtime.refuse(cudaErrorInvalidValue, "a copy of " + std::to_string(bytes) +
                                                         " bytes leaves its device memory");
    return runtime.enqueue(stream, {[=] { std::memmove(y, x, bytes); }, {}, {}});
}

cudaError_t cudaMemsetAsync(void* y, int value, size_t bytes, cudaStream_t stream) {
    SIMT_ENTER(runtime);
    if (!runtime.holds(y, bytes))
        return runtime.refuse(cudaErrorInvalidValue, "a memset of " + std::to_string(bytes) +
                                                         " bytes leaves its device memory");
    return runtime.enqueue(stream, {[=] { std::memset(y, value, bytes); }, {}, {}});
}

#include "apps/bench/allocator_peers.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <dlfcn.h>
#include <memory>

#include <yeoul/error.h>

#include "engine/backends.h"

namespace yeoul::bench {
namespace {

/// A shared library that stays open: what it started may run until the process ends.
class SharedLibrary {
public:
    explicit SharedLibrary(const std::string& file)
        : file_(file), handle_(::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)) {
        if (!handle_)
            throw Error(ErrorCode::device, std::string(::dlerror()));
    }

    template <class Function>
    void load(Function*& function, const char* name) const {
        function = reinterpret_cast<Function*>(::dlsym(handle_, name));
        if (!function)
            throw Error(ErrorCode::device, "'" + file_ + "' has no " + name);
    }

private:
    std::string file_;
    void* handle_;
};

void check(int result, const char* what) {
    if (result != 0)
        throw Error(ErrorCode::device,
                    std::string(what) + " failed with " + std::to_string(result));
}

/// Functions of cuda.h, whose binary interface is kept since CUDA 11.2. A build without the toolkit
/// has no such header.
struct Driver {
    static constexpr int kReleaseThreshold = 4; // CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
    static constexpr unsigned kNonBlocking = 1; // CU_STREAM_NON_BLOCKING

    explicit Driver(const SharedLibrary& library) {
        library.load(current_device, "cuCtxGetDevice");
        library.load(default_pool, "cuDeviceGetDefaultMemPool");
        library.load(set_attribute, "cuMemPoolSetAttribute");
        library.load(create_stream, "cuStreamCreate");
        library.load(destroy_stream, "cuStreamDestroy_v2");
        library.load(synchronize_stream, "cuStreamSynchronize");
        library.load(allocate, "cuMemAllocAsync");
        library.load(free, "cuMemFreeAsync");
    }
    int (*current_device)(int* device) = nullptr;
    int (*default_pool)(void** pool, int device) = nullptr;
    int (*set_attribute)(void* pool, int attribute, void* value) = nullptr;
    int (*create_stream)(void** stream, unsigned flags) = nullptr;
    int (*destroy_stream)(void* stream) = nullptr;
    int (*synchronize_stream)(void* stream) = nullptr;
    int (*allocate)(unsigned long long* data, size_t bytes, void* stream) = nullptr;
    int (*free)(unsigned long long data, void* stream) = nullptr;
};

class DriverPool {
public:
    DriverPool() : driver_(SharedLibrary("libcuda.so.1")) {
        int device = 0;
        check(driver_.current_device(&device), "cuCtxGetDevice");
        void* pool = nullptr;
        check(driver_.default_pool(&pool, device), "cuDeviceGetDefaultMemPool");
        uint64_t all = UINT64_MAX;
        check(driver_.set_attribute(pool, Driver::kReleaseThreshold, &all),
              "cuMemPoolSetAttribute");
        for (void*& stream : streams_)
            check(driver_.create_stream(&stream, Driver::kNonBlocking), "cuStreamCreate");
    }
    ~DriverPool() {
        for (void* stream : streams_)
            if (stream) {
                driver_.synchronize_stream(stream);
                driver_.destroy_stream(stream);
            }
    }
    DriverPool(const DriverPool&) = delete;
    DriverPool& operator=(const DriverPool&) = delete;

    void* allocate(size_t bytes, int stream) {
        unsigned long long data = 0;
        check(driver_.allocate(&data, bytes, streams_.at(stream)), "cuMemAllocAsync");
        return reinterpret_cast<void*>(data);
    }
    void release(void* data, int stream) {
        check(driver_.free(reinterpret_cast<unsigned long long>(data), streams_.at(stream)),
              "cuMemFreeAsync");
    }

private:
    Driver driver_;
    std::array<void*, 2> streams_ = {};
};

/// Functions of PyTorch's stable C interface, torch/csrc/inductor/aoti_torch/c/shim.h.
struct Torch {
    explicit Torch(const SharedLibrary& library) {
        library.load(allocate, "aoti_torch_cuda_caching_allocator_raw_alloc");
        library.load(release, "aoti_torch_cuda_caching_allocator_raw_delete");
        library.load(cuda, "aoti_torch_device_type_cuda");
        library.load(float32, "aoti_torch_dtype_float32");
        library.load(empty, "aoti_torch_empty_strided");
        library.load(drop, "aoti_torch_delete_tensor_object");
    }

    /// The first tensor on a GPU starts PyTorch's part for it.
    void start() const {
        const int64_t one = 1;
        void* tensor = nullptr;
        check(empty(1, &one, &one, float32(), cuda(), 0, &tensor),
              "making a tensor of PyTorch on the GPU");
        check(drop(tensor), "deleting a tensor of PyTorch");
    }

    int (*allocate)(uint64_t bytes, void** data) = nullptr;
    int (*release)(void* data) = nullptr;
    int32_t (*cuda)() = nullptr;
    int32_t (*float32)() = nullptr;
    int (*empty)(int64_t dims, const int64_t* sizes, const int64_t* strides, int32_t dtype,
                 int32_t device_type, int32_t device, void** tensor) = nullptr;
    int (*drop)(void* tensor) = nullptr;
};

} // namespace

AllocatorPeer malloc_peer() {
    return {"malloc",
            [](size_t bytes, int) {
                void* data = std::malloc(bytes);
                if (!data)
                    throw OutOfMemory(bytes, "malloc");
                return data;
            },
            [](void* data, int) { std::free(data); }};
}

AllocatorPeer device_peer(Device& device) {
    const bool cpu = device.properties().kind == "cpu";
    return {cpu ? "device" : "cudaMalloc",
            [&device](size_t bytes, int) { return device.allocate(bytes); },
            [&device](void* data, int) { device.release(data); }};
}

AllocatorPeer driver_pool_peer() {
    const auto pool = std::make_shared<DriverPool>();
    return {"cudaMallocAsync",
            [pool](size_t bytes, int stream) { return pool->allocate(bytes, stream); },
            [pool](void* data, int stream) { pool->release(data, stream); }};
}

AllocatorPeer torch_peer(const std::string& library) {
    const Torch torch{SharedLibrary(library)};
    torch.start();
    return {"PyTorch",
            [torch](size_t bytes, int) {
                void* data = nullptr;
                check(torch.allocate(bytes, &data), "PyTorch's allocation");
                return data;
            },
            [torch](void* data, int) { check(torch.release(data), "PyTorch's release"); }};
}

} // namespace yeoul::bench

// A libcuda.so.1 and a libtorch_cuda.so for tests, as far as they are called: memory of the heap.
// It ends the process when a block is given back that it did not give, or on another stream.
// YEOUL_TEST_TORCH=none: PyTorch finds no GPU.
#include <cstdint>
#include <cstdlib>
#include <map>

namespace {

constexpr int kSuccess = 0, kFailure = 1;
constexpr int kReleaseThreshold = 4;

int pool, streams[2], made = 0;
bool keeps = false;
std::map<void*, void*> blocks; // and their streams

void* give(size_t bytes, void* stream) {
    void* data = std::malloc(bytes);
    blocks[data] = stream;
    return data;
}
int take(void* data, void* stream) {
    const auto at = blocks.find(data);
    if (at == blocks.end() || at->second != stream)
        std::abort();
    blocks.erase(at);
    std::free(data);
    return kSuccess;
}

} // namespace

#pragma GCC visibility push(default)
extern "C" {

int cuCtxGetDevice(int* device) {
    *device = 0;
    return kSuccess;
}
int cuDeviceGetDefaultMemPool(void** of, int) {
    *of = &pool;
    return kSuccess;
}
int cuMemPoolSetAttribute(void* of, int attribute, void* value) {
    keeps = attribute == kReleaseThreshold && *static_cast<uint64_t*>(value) == UINT64_MAX;
    return of == &pool ? kSuccess : kFailure;
}
int cuStreamCreate(void** stream, unsigned) {
    *stream = &streams[made++ % 2];
    return kSuccess;
}
int cuStreamDestroy_v2(void*) {
    return kSuccess;
}
int cuStreamSynchronize(void*) {
    return kSuccess;
}
int cuMemAllocAsync(unsigned long long* data, size_t bytes, void* stream) {
    if (!keeps || !stream)
        return kFailure;
    *data = reinterpret_cast<unsigned long long>(give(bytes, stream));
    return kSuccess;
}
int cuMemFreeAsync(unsigned long long data, void* stream) {
    return take(reinterpret_cast<void*>(data), stream);
}

int32_t aoti_torch_device_type_cuda() {
    return 1;
}
int32_t aoti_torch_dtype_float32() {
    return 6;
}
int aoti_torch_empty_strided(int64_t dims, const int64_t* sizes, const int64_t* strides,
                             int32_t dtype, int32_t device_type, int32_t, void** tensor) {
    if (std::getenv("YEOUL_TEST_TORCH") || dims != 1 || *sizes != 1 || *strides != 1 ||
        dtype != aoti_torch_dtype_float32() || device_type != aoti_torch_device_type_cuda())
        return kFailure;
    *tensor = give(4, nullptr);
    return kSuccess;
}
int aoti_torch_delete_tensor_object(void* tensor) {
    return take(tensor, nullptr);
}
int aoti_torch_cuda_caching_allocator_raw_alloc(uint64_t bytes, void** data) {
    *data = give(bytes, nullptr);
    return kSuccess;
}
int aoti_torch_cuda_caching_allocator_raw_delete(void* data) {
    return take(data, nullptr);
}

} // extern "C"

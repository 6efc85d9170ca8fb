// Device memory and launches for the emulator's own tests.
#pragma once

#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <cuda_fp16.h>
#include <cuda_runtime.h>

namespace simt::test {

inline void must(cudaError_t error) {
    if (error != cudaSuccess)
        throw std::runtime_error(std::string(cudaGetErrorName(error)) + ", " +
                                 cudaGetErrorString(error));
}

class Stream {
public:
    Stream() { must(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
    ~Stream() { (void)cudaStreamDestroy(stream_); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    operator cudaStream_t() const { return stream_; }

private:
    cudaStream_t stream_ = nullptr;
};

template <class T>
class Buffer {
public:
    explicit Buffer(size_t count) : count_(count) {
        void* data = nullptr;
        must(cudaMalloc(&data, count * sizeof(T)));
        data_ = static_cast<T*>(data);
    }
    explicit Buffer(const std::vector<T>& values) : Buffer(values.size()) {
        const Stream stream;
        must(cudaMemcpyAsync(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice,
                             stream));
        must(cudaStreamSynchronize(stream));
    }
    ~Buffer() { (void)cudaFree(data_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    T* data() const { return data_; }
    std::vector<T> values() const {
        std::vector<T> values(count_);
        const Stream stream;
        must(cudaMemcpyAsync(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost,
                             stream));
        must(cudaStreamSynchronize(stream));
        return values;
    }

private:
    T* data_ = nullptr;
    size_t count_;
};

/// Launches and synchronizes; throws what the emulator says.
template <class... P, class... A>
void run(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, A... arguments) {
    const Stream stream;
    must(launch(kernel, grid, block, shared_bytes, stream,
                std::tuple<P...>(static_cast<P>(arguments)...)));
    must(cudaStreamSynchronize(stream));
}

} // namespace simt::test

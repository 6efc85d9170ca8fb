// Others that give memory, to measure an allocator beside.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace yeoul {
class Device;
}

namespace yeoul::bench {

struct AllocatorPeer {
    std::string name;
    /// On a stream, 0 or 1, where the peer knows streams. Throws `Error` when there is none left.
    std::function<void*(size_t bytes, int stream)> allocate;
    std::function<void(void* data, int stream)> release;
};

/// malloc.
AllocatorPeer malloc_peer();
/// The device's own: cudaMalloc on a GPU. `device` outlives it.
AllocatorPeer device_peer(Device& device);
/// cudaMallocAsync: the driver's pool of the GPU that is current to this thread, told to keep what
/// it has. Throws `Error`, code `device`, when there is no driver.
AllocatorPeer driver_pool_peer();
/// PyTorch's caching allocator, from libtorch_cuda.so at `library`. It lives in this process and
/// knows the stream that is current to the thread. Throws `Error`, code `device`, when the library
/// or its interface is not there, or it finds no GPU.
AllocatorPeer torch_peer(const std::string& library);

} // namespace yeoul::bench

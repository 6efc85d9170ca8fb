// Host memory: the device's own, and blocks for what lasts no longer than a call.
#pragma once

#include <cstddef>
#include <memory>

namespace yeoul::cpu {

/// 256-byte aligned. Blocks of at least 2 MiB start on a huge page and ask for huge pages.
/// Throws `OutOfMemory`, at once for more than the machine has. 0 bytes gives nullptr.
void* allocate(size_t bytes);
void release(void* data) noexcept;

/// Bytes of memory of this machine.
size_t total_memory_bytes();

struct Release {
    void operator()(void* data) const noexcept { release(data); }
};

/// A block of memory with its size.
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(size_t bytes) : data_(allocate(bytes)), bytes_(bytes) {}
    void* data() const { return data_.get(); }
    size_t bytes() const { return bytes_; }

private:
    std::unique_ptr<void, Release> data_;
    size_t bytes_ = 0;
};

} // namespace yeoul::cpu

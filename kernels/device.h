// A device as the engine sees it: memory, streams, events, copies, captured graphs.
//
// Everything that takes a stream is asynchronous and ordered within that stream. Nothing here reads
// back or synchronizes unless its name says so. A failure that belongs to work already enqueued
// surfaces at the next `synchronize` of that stream or event as an `Error`.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include <yeoul/error.h>
#include <yeoul/types.h>

namespace yeoul {

struct DeviceProperties {
    std::string kind;         // "cpu", "cuda", "simt"
    std::string name;         // "NVIDIA T4", "AMD EPYC 7763"
    std::string isa;          // "avx2", "sm_75"
    std::string pci_address;  // of a GPU: "00000000:00:1e.0"
    int compute_units = 0;    // SMs, or threads used for math
    size_t total_bytes = 0;   // of device memory
    bool host_memory = false; // device pointers can be dereferenced by the host
    /// Its memory is numbers, for planning: nobody may dereference a pointer of it, not even a
    /// kernel. Copies and `zero` do nothing.
    bool dry = false;
};

enum class CopyKind { host_to_device, device_to_host, device_to_device };

/// A recorded sequence of work, bound to the pointers it was captured with.
class Graph {
public:
    virtual ~Graph() = default;
    virtual int nodes() const = 0;
};

class EventRef {
public:
    explicit EventRef(void* handle) : handle_(handle) { assert(handle != nullptr); }
    void* handle() const { return handle_; }

private:
    void* handle_;
};

class Device {
public:
    virtual ~Device() = default;
    virtual const DeviceProperties& properties() const = 0;
    /// Bytes that `allocate` could give now, as far as the system says; others may take them first.
    virtual size_t free_bytes() const = 0;

    /// At least 256-byte aligned, contents undefined. Throws `OutOfMemory`. 0 bytes gives nullptr.
    virtual void* allocate(size_t bytes) = 0;
    virtual void release(void* data) noexcept = 0;
    /// Host memory that copies can use asynchronously. Same terms as `allocate`.
    virtual void* allocate_pinned(size_t bytes) = 0;
    virtual void release_pinned(void* data) noexcept = 0;

    virtual StreamRef create_stream() = 0;
    /// Waits for the stream's work, then ends it.
    virtual void destroy_stream(StreamRef stream) noexcept = 0;
    virtual void synchronize(StreamRef stream) = 0;

    /// An event not yet recorded counts as complete.
    virtual EventRef create_event() = 0;
    virtual void destroy_event(EventRef event) noexcept = 0;
    virtual void record(EventRef event, StreamRef stream) = 0;
    /// Work enqueued on `stream` from here on waits for the event's last record so far.
    virtual void wait(EventRef event, StreamRef stream) = 0;
    virtual void synchronize(EventRef event) = 0;
    virtual bool complete(EventRef event) = 0;
    /// Milliseconds between two completed events.
    virtual float elapsed_ms(EventRef start, EventRef stop) = 0;

    /// Host sides must be pinned and stay valid until the copy is done.
    virtual void copy(void* y, const void* x, size_t bytes, CopyKind kind, StreamRef stream) = 0;
    virtual void zero(void* y, size_t bytes, StreamRef stream) = 0;

    /// From here on, work given to `stream` is recorded and does not run. Waiting for events that
    /// were recorded outside the capture, and `synchronize`, are errors until `end_capture`.
    virtual void begin_capture(StreamRef stream) = 0;
    virtual std::unique_ptr<Graph> end_capture(StreamRef stream) = 0;
    /// Drops what was recorded, for a caller whose recording threw. No-op outside a capture.
    virtual void abandon_capture(StreamRef stream) noexcept = 0;
    /// The graph must outlive the work.
    virtual void launch(Graph& graph, StreamRef stream) = 0;
};

/// Owns a stream. Work still enqueued is finished first.
class Stream {
public:
    explicit Stream(Device& device) : device_(&device), ref_(device.create_stream()) {}
    ~Stream() { device_->destroy_stream(ref_); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    operator StreamRef() const { return ref_; }

private:
    Device* device_;
    StreamRef ref_;
};

/// Owns an event.
class Event {
public:
    explicit Event(Device& device) : device_(&device), ref_(device.create_event()) {}
    ~Event() { device_->destroy_event(ref_); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    operator EventRef() const { return ref_; }

private:
    Device* device_;
    EventRef ref_;
};

struct DeviceMemoryRelease {
    Device* device;
    void operator()(void* data) const noexcept { device->release(data); }
};
struct PinnedMemoryRelease {
    Device* device;
    void operator()(void* data) const noexcept { device->release_pinned(data); }
};
using DeviceMemory = std::unique_ptr<void, DeviceMemoryRelease>;
using PinnedMemory = std::unique_ptr<void, PinnedMemoryRelease>;

inline DeviceMemory make_device_memory(Device& device, size_t bytes) {
    return DeviceMemory(device.allocate(bytes), {&device});
}
inline PinnedMemory make_pinned_memory(Device& device, size_t bytes) {
    return PinnedMemory(device.allocate_pinned(bytes), {&device});
}

} // namespace yeoul

// The state of the emulated device and its streams. One mutex guards all of it, also while work
// runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <cuda_runtime.h>

namespace simt::detail {

/// One recording of an event: reached once its stream came there.
struct Marker {
    CUstream_st* stream; // valid until it is reached: a stream finishes its work before it ends
    bool reached = false;
    std::chrono::steady_clock::time_point time{};
};

struct Operation {
    std::function<void()> work;
    std::shared_ptr<Marker> wait;   // first run what leads there
    std::shared_ptr<Marker> record; // then this is reached
};

struct Capture {
    uint64_t id; // of no other capture
    bool valid = true;
    std::vector<Operation> operations;
};

struct Runtime {
    std::mutex mutex;

    cudaError_t lost = cudaSuccess; // what every call answers once it is set
    std::string failure;            // the emulator's words for the last failure

    std::set<CUstream_st*> streams;
    std::map<const unsigned char*, size_t> device_memory; // by address, with the bytes
    size_t device_bytes = 0;                              // allocated
    int allocations_to_failure = 0;                       // 0: none is to fail
    cudaError_t kernel_error = cudaSuccess;               // what a kernel's attributes give
    std::unordered_map<const void*, size_t> opted_in;     // dynamic shared memory, by kernel

    uint64_t captures = 0, launches = 0;
    std::unordered_set<const void*> launched; // kernels that ran
    std::vector<LaunchRecord> recorded;

    static Runtime& get();

    /// The error, remembered for this thread's cudaGetLastError and cudaGetErrorString.
    cudaError_t refuse(cudaError_t error, const std::string& why);
    cudaError_t refuse_lost() { return refuse(lost, failure); }
    void lose(const std::string& why);
    /// The range lies in one allocation of device memory.
    bool holds(const void* data, size_t bytes) const;

    cudaError_t enqueue(cudaStream_t stream, Operation operation);
    void run_next(CUstream_st& stream);
    void run_all(CUstream_st& stream);
    void run_until(const Marker& marker);
    /// Runs one operation of what leads to the marker.
    void step_towards(const Marker& marker);

private:
    void execute(Operation& operation);
};

/// Locks, and answers for a lost device.
#define SIMT_ENTER(runtime)                                                                        \
    ::simt::detail::Runtime& runtime = ::simt::detail::Runtime::get();                             \
    const std::lock_guard runtime##_lock(runtime.mutex);                                           \
    if (runtime.lost != cudaSuccess)                                                               \
    return runtime.refuse_lost()

} // namespace simt::detail

struct CUstream_st {
    std::deque<simt::detail::Operation> pending;
    std::unique_ptr<simt::detail::Capture> capture; // while it captures
};
struct CUevent_st {
    bool timed = true;
    std::shared_ptr<simt::detail::Marker> last; // null: never recorded outside a capture
    uint64_t capture = 0;                       // the capture of its last recording; 0: none
};
struct CUgraph_st {
    std::vector<simt::detail::Operation> operations;
};
struct CUgraphExec_st {
    std::vector<simt::detail::Operation> operations;
};

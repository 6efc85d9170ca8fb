// Runs the threads of one block after the other: who may run next, and how threads meet.
#pragma once

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <cuda_runtime.h>

#include "banks.h"
#include "fiber.h"

namespace simt::detail {

constexpr unsigned kWarp = 32;
constexpr unsigned kMaxThreads = 1024;        // of a block, on every GPU
constexpr size_t kMaxSharedBytes = 64 << 10;  // of a block on sm_75
constexpr size_t kMaxStaticShared = 48 << 10; // of SIMT_SHARED in a kernel, on every GPU

struct Warp;

struct Thread : ThreadPlace {
    Warp* warp;
    Fiber* fiber; // while it is started and not returned
};

struct Arrival {
    void* record;
    const void* site; // in the kernel
    Place place;
    unsigned mask;
    Collective op;
};

struct Warp {
    Thread* threads;
    unsigned present, returned, arrived; // a bit for each lane
    Arrival arrivals[kWarp];
    unsigned phase; // of __syncwarp: its two tags alternate
    char tags[2];
};

struct Barrier {
    Thread* waiting[kMaxThreads];
    unsigned arrived;
    Reduction reduction;
    Place place; // of the first to arrive
    int value, result;
    unsigned phase;
    char tags[2];
};

/// A kernel's arguments are bound in `body`, which is called once for each thread.
struct Grid {
    dim3 grid, block;
    size_t shared_bytes;
    const std::function<void()>* body;
    uint64_t seed; // of this launch
};

/// One per host thread; reused from block to block with its fibers.
class BlockRunner {
public:
    ~BlockRunner();

    void prepare(const Grid& grid);
    /// Returns whether all threads returned; `error` tells otherwise, and the runner is of no
    /// further use.
    bool run(uint3 index, uint64_t number);
    const char* error() const { return error_; }
    /// Ends a launch: what was counted is added to the process's.
    void finish();

    // For the functions that a kernel calls.
    void collective(Collective op, unsigned mask, void* record, const void* site, Place place);
    int barrier(Reduction reduction, int predicate, Place place);
    void* shared_array(size_t bytes);
    void record_shared_access(const void* data, size_t bytes, const void* site);
    [[noreturn]] void fail(const char* format, va_list arguments);

    static BlockRunner& running();

private:
    static void fiber_main();
    void run_threads(Fiber& fiber);
    void start(Thread& thread, Fiber& fiber);
    void finish(Thread& thread);

    void wait();
    void resume(Thread& thread);
    void make_ready(Thread& thread);
    Thread& take_ready();
    bool prefer_ready();
    uint64_t random();

    Fiber& idle_fiber();
    void retire(Fiber& fiber);
    void switch_to(Fiber& fiber);

    void check_meeting(const Warp& warp, const Arrival& mine, unsigned needed);
    void complete(Warp& warp, Collective op, unsigned needed);
    void shuffle(Warp& warp, unsigned needed);
    void load_matrices(Warp& warp, int matrices, bool transposed);
    bool in_shared(const void* data) const;
    void release_shared();
    void append(const char* format, ...) __attribute__((format(printf, 2, 3)));

    Fiber host_;
    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::vector<Fiber*> idle_, retired_;
    Fiber* running_fiber_ = nullptr;
    Thread* thread_ = nullptr; // the running one

    std::vector<Thread> threads_;
    std::vector<Warp> warps_;
    Barrier barrier_ = {};
    std::vector<Thread*> ready_; // a ring
    size_t ready_head_ = 0, ready_count_ = 0;
    std::vector<unsigned> order_; // in which threads start
    unsigned count_ = 0, started_ = 0, returned_ = 0;

    const std::function<void()>* body_ = nullptr;
    bool random_ = false;
    uint64_t seed_ = 0, random_state_ = 0;
    unsigned parity_ = 0;
    char block_tags_[2] = {}; // order a block behind the one before it

    struct Allocation {
        unsigned char* data;
        size_t bytes;
    };
    std::vector<Allocation> shared_; // the arrays of SIMT_SHARED
    unsigned char* dynamic_shared_ = nullptr;
    size_t dynamic_bytes_ = 0, static_bytes_ = 0;
    std::unique_ptr<unsigned char[]> arena_; // of those arrays, under ThreadSanitizer

    BankCounter banks_;
    Stats stats_;
    char error_[2048] = {};
    size_t error_length_ = 0;
    bool failed_ = false;
};

/// Runs all blocks; throws std::runtime_error with what went wrong in one of them.
void run_grid(const Grid& grid);

void add_stats(const Stats& stats);
const char* name_of(Collective op);

} // namespace simt::detail

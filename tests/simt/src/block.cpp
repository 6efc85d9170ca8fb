#include "block.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <numeric>
#include <utility>

#include "sanitizers.h"

namespace simt::detail {

thread_local constinit const ThreadPlace* thread_place = nullptr;
thread_local constinit BlockPlace block_place = {};

namespace {

thread_local BlockRunner* t_runner = nullptr;

// No two blocks of a process have the same: a SharedSlot knows by it whether it is from before.
std::atomic<uint64_t> g_block_number{0};
thread_local uint64_t t_block_number = 0;

uint64_t mixed(uint64_t x) { // splitmix64
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

unsigned char* allocate_shared(size_t bytes) {
    void* data = nullptr;
    if (posix_memalign(&data, 128, bytes) != 0) // so that addresses tell the bank
        std::abort();
    return static_cast<unsigned char*>(data);
}

} // namespace

BlockRunner& BlockRunner::running() {
    return *t_runner;
}

BlockRunner::~BlockRunner() {
    release_shared();
    std::free(dynamic_shared_);
}

void BlockRunner::prepare(const Grid& grid) {
    t_runner = this;
    body_ = grid.body;
    seed_ = grid.seed;
    random_ = config().random_order;
    const unsigned count = grid.block.x * grid.block.y * grid.block.z;
    if (count != count_) {
        count_ = count;
        threads_.assign(count, {});
        warps_.assign((count + kWarp - 1) / kWarp, {});
        ready_.assign(count + 1, nullptr);
        order_.resize(count);
    }
    std::iota(order_.begin(), order_.end(), 0U);
    for (unsigned i = 0; i < count; ++i) {
        Thread& thread = threads_[i];
        thread.linear = i;
        thread.index = {i % grid.block.x, i / grid.block.x % grid.block.y,
                        i / (grid.block.x * grid.block.y)};
        thread.warp = &warps_[i / kWarp];
    }
    for (unsigned i = 0; i < warps_.size(); ++i) {
        const unsigned lanes = std::min(count - i * kWarp, kWarp);
        warps_[i].present = lanes == kWarp ? ~0U : (1U << lanes) - 1;
        warps_[i].threads = &threads_[i * kWarp];
    }
    block_place.block = grid.block;
    block_place.grid = grid.grid;
    block_place.count_banks = config().count_banks && !kTsan;
    if (dynamic_bytes_ != grid.shared_bytes) {
        std::free(dynamic_shared_);
        dynamic_bytes_ = grid.shared_bytes;
        dynamic_shared_ = dynamic_bytes_ != 0 ? allocate_shared(dynamic_bytes_) : nullptr;
    }
    if constexpr (kTsan) { // nothing is allocated inside a fiber
        if (arena_ == nullptr)
            arena_ = std::make_unique<unsigned char[]>(kMaxStaticShared + 128);
        shared_.reserve(256);
        idle_.reserve(kMaxThreads);
        retired_.reserve(kMaxThreads);
        while (fibers_.size() < count) {
            fibers_.push_back(std::make_unique<Fiber>(fiber_main, fibers_.size()));
            idle_.push_back(fibers_.back().get());
        }
        host_.adopt_host_thread();
        order_before(block_tags_[parity_]);
    }
}

bool BlockRunner::run(uint3 index, uint64_t number) {
    block_place.index = index;
    t_block_number = ++g_block_number;
    ++stats_.blocks;
    stats_.threads += count_;
    parity_ ^= 1;
    random_state_ = mixed(seed_ ^ mixed(number)) | 1;

    release_shared();
    if constexpr (kAsan) { // a block that keeps a pointer from the one before is found
        std::free(dynamic_shared_);
        dynamic_shared_ = dynamic_bytes_ != 0 ? allocate_shared(dynamic_bytes_) : nullptr;
    }
    poison(dynamic_shared_, dynamic_bytes_);
    block_place.dynamic_shared = dynamic_shared_;

    ready_head_ = ready_count_ = 0;
    started_ = returned_ = 0;
    barrier_.arrived = 0;
    for (Warp& warp : warps_)
        warp.returned = warp.arrived = 0;
    if (random_) {
        std::iota(order_.begin(), order_.end(), 0U);
        for (unsigned i = count_; i > 1; --i)
            std::swap(order_[i - 1], order_[random() % i]);
    }
    idle_.insert(idle_.end(), retired_.begin(), retired_.end());
    retired_.clear();
    running_fiber_ = &host_;
    switch_to(idle_fiber());
    thread_place = nullptr;
    if (block_place.count_banks)
        banks_.end_block();
    if (failed_)
        order_after(block_tags_[0]);
    return !failed_;
}

void BlockRunner::finish() {
    order_after(block_tags_[0]);
    order_after(block_tags_[1]);
    add_stats(std::exchange(stats_, {}));
    banks_.publish();
}

// ---- fibers and threads

void BlockRunner::fiber_main() {
    BlockRunner& runner = running();
    Fiber& fiber = *runner.running_fiber_;
    Fiber::entered(runner.host_);
    runner.run_threads(fiber);
}

// A fiber runs one thread after the other until one must wait: only then a second fiber is taken.
// A kernel without barriers so takes one switch for each block, not one for each thread.
void BlockRunner::run_threads(Fiber& fiber) {
    for (;;) {
        Thread& thread = threads_[order_[started_++]];
        start(thread, fiber);
        (*body_)();
        finish(thread);
        if (returned_ == count_) {
            retire(fiber);
            switch_to(host_);
        } else if (prefer_ready()) {
            retire(fiber);
            resume(take_ready());
        } else if (started_ == count_) {
            detail::fail("deadlock: every remaining thread waits");
        } else if (kTsan) { // which takes a fiber for a thread
            retire(fiber);
            switch_to(idle_fiber());
        }
    }
}

void BlockRunner::start(Thread& thread, Fiber& fiber) {
    thread.fiber = &fiber;
    thread_ = &thread;
    thread_place = &thread;
    if constexpr (kTsan) {
        order_after(block_tags_[parity_ ^ 1]);
        char name[40];
        char* end = name;
        const auto put = [&end](unsigned value, char last) {
            char digits[10];
            int count = 0;
            do
                digits[count++] = static_cast<char>('0' + value % 10);
            while ((value /= 10) != 0);
            while (count > 0)
                *end++ = digits[--count];
            *end++ = last;
        };
        *end++ = '(';
        put(thread.index.x, ',');
        put(thread.index.y, ',');
        put(thread.index.z, ')');
        *end = '\0';
        fiber.set_name(name);
    }
}

void BlockRunner::finish(Thread& thread) {
    order_before(block_tags_[parity_]);
    ++returned_;
    thread.warp->returned |= 1U << thread.linear % kWarp;
    if (barrier_.arrived != 0)
        detail::fail("a thread returned while others of its block wait at __syncthreads()");
    for (unsigned lanes = thread.warp->arrived; lanes != 0; lanes &= lanes - 1) {
        const Arrival& waiting = thread.warp->arrivals[std::countr_zero(lanes)];
        if (waiting.mask >> thread.linear % kWarp & 1)
            detail::fail("a thread returned while lanes of its warp wait for it in %s, mask %08x",
                         name_of(waiting.op), waiting.mask);
    }
}

Fiber& BlockRunner::idle_fiber() {
    if (idle_.empty()) {
        fibers_.push_back(std::make_unique<Fiber>(fiber_main, fibers_.size()));
        return *fibers_.back();
    }
    Fiber& fiber = *idle_.back();
    idle_.pop_back();
    return fiber;
}

// ThreadSanitizer must not take two threads of a block for one: there a fiber serves one per block.
void BlockRunner::retire(Fiber& fiber) {
    (kTsan ? retired_ : idle_).push_back(&fiber);
}

void BlockRunner::switch_to(Fiber& fiber) {
    Fiber& from = *std::exchange(running_fiber_, &fiber);
    ++stats_.switches;
    Fiber::switch_to(from, fiber);
}

// ---- who runs next

uint64_t BlockRunner::random() { // xorshift64
    random_state_ ^= random_state_ << 13;
    random_state_ ^= random_state_ >> 7;
    random_state_ ^= random_state_ << 17;
    return random_state_;
}

void BlockRunner::make_ready(Thread& thread) {
    const size_t place = ready_head_ + ready_count_++;
    ready_[place < ready_.size() ? place : place - ready_.size()] = &thread;
}

Thread& BlockRunner::take_ready() {
    if (random_) {
        const size_t place = ready_head_ + random() % ready_count_;
        std::swap(ready_[place < ready_.size() ? place : place - ready_.size()],
                  ready_[ready_head_]);
    }
    Thread& thread = *ready_[ready_head_];
    ready_head_ = ready_head_ + 1 < ready_.size() ? ready_head_ + 1 : 0;
    --ready_count_;
    return thread;
}

// A ready thread rather than a new one; in random order as the coin says, where there is a choice.
bool BlockRunner::prefer_ready() {
    if (ready_count_ == 0)
        return false;
    return !random_ || started_ == count_ || random() % 2 != 0;
}

// The running thread stops here until somebody makes it ready and it is taken.
void BlockRunner::wait() {
    Thread& me = *thread_;
    if (prefer_ready())
        resume(take_ready());
    else if (started_ < count_)
        switch_to(idle_fiber());
    else
        detail::fail("deadlock: every remaining thread waits");
    thread_ = &me;
    thread_place = &me;
}

void BlockRunner::resume(Thread& thread) {
    if (thread.fiber != running_fiber_)
        switch_to(*thread.fiber);
}

// ---- what kernels call

int BlockRunner::barrier(Reduction reduction, int predicate, Place place) {
    ++stats_.barriers;
    Barrier& barrier = barrier_;
    if (returned_ != 0)
        detail::fail("__syncthreads() after threads of the block returned");
    if (barrier.arrived != 0 && barrier.reduction != reduction)
        detail::fail("threads meet in different kinds of __syncthreads()");
    if (barrier.arrived != 0 && barrier.place != place)
        detail::fail("threads meet in two places of the source: in the __syncthreads() of line %u, "
                     "column %u, and of line %u, column %u",
                     place.line, place.column, barrier.place.line, barrier.place.column);
    char& tag = barrier.tags[barrier.phase % 2];
    order_before(tag);
    if (barrier.arrived == 0) {
        barrier.reduction = reduction;
        barrier.place = place;
        barrier.value = reduction == Reduction::all;
    }
    const int truth = predicate != 0;
    if (reduction == Reduction::count)
        barrier.value += truth;
    else if (reduction == Reduction::all)
        barrier.value &= truth;
    else if (reduction == Reduction::any)
        barrier.value |= truth;
    barrier.waiting[barrier.arrived++] = thread_;
    if (barrier.arrived == count_) {
        barrier.result = barrier.value;
        barrier.arrived = 0;
        ++barrier.phase;
        for (unsigned i = 0; i + 1 < count_; ++i)
            make_ready(*barrier.waiting[i]);
        if (random_) { // the last to arrive need not be the first to go on
            make_ready(*thread_);
            wait();
        }
    } else {
        wait();
    }
    order_after(tag);
    return barrier.result; // the next phase cannot end before every thread has read it
}

void* BlockRunner::shared_array(size_t bytes) {
    const size_t padded = (bytes + 127) / 128 * 128;
    static_bytes_ += (bytes + 15) / 16 * 16;
    if (static_bytes_ > kMaxStaticShared)
        detail::fail("%zu bytes of static shared memory: a kernel may have %zu", static_bytes_,
                     kMaxStaticShared);
    if (static_bytes_ + dynamic_bytes_ > kMaxSharedBytes)
        detail::fail("%zu bytes of static and %zu of dynamic shared memory: a block may have %zu",
                     static_bytes_, dynamic_bytes_, kMaxSharedBytes);
    unsigned char* data = nullptr;
    if constexpr (kTsan) {
        auto start = reinterpret_cast<uintptr_t>(arena_.get());
        start = (start + 127) / 128 * 128;
        for (const Allocation& other : shared_)
            start += (other.bytes + 127) / 128 * 128;
        if (start + padded > reinterpret_cast<uintptr_t>(arena_.get()) + kMaxStaticShared + 128 ||
            shared_.size() == shared_.capacity())
            detail::fail("too many arrays of shared memory for ThreadSanitizer's arena");
        data = reinterpret_cast<unsigned char*>(start);
    } else {
        data = allocate_shared(bytes);
    }
    poison(data, bytes);
    shared_.push_back({data, bytes});
    return data;
}

void BlockRunner::release_shared() {
    if constexpr (!kTsan)
        for (const Allocation& allocation : shared_)
            std::free(allocation.data);
    shared_.clear();
    static_bytes_ = 0;
}

bool BlockRunner::in_shared(const void* data) const {
    const auto* byte = static_cast<const unsigned char*>(data);
    const auto within = [byte](const unsigned char* start, size_t bytes) {
        return byte >= start && byte < start + bytes;
    };
    if (within(dynamic_shared_, dynamic_bytes_))
        return true;
    for (const Allocation& allocation : shared_)
        if (within(allocation.data, allocation.bytes))
            return true;
    return false;
}

void BlockRunner::record_shared_access(const void* data, size_t bytes, const void* site) {
    banks_.add(thread_->linear / kWarp, thread_->linear % kWarp, data, bytes, site);
}

// ---- the same as functions

int block_barrier(Reduction reduction, int predicate, Place place) {
    return BlockRunner::running().barrier(reduction, predicate, place);
}

void* shared_array(SharedSlot& slot, size_t bytes) {
    if (slot.block != t_block_number) {
        slot.data = BlockRunner::running().shared_array(bytes);
        slot.block = t_block_number;
    }
    return slot.data;
}

void record_shared_access(const void* data, size_t bytes) {
    BlockRunner::running().record_shared_access(data, bytes, __builtin_return_address(0));
}

} // namespace simt::detail

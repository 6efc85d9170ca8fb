// A stack of its own and the switch to it.
#pragma once

#include <cstddef>

namespace simt::detail {

class Fiber {
public:
    /// The calling host thread's own stack.
    Fiber() = default;
    /// Starts in `entry`, which must not return, at the first switch to it. `number` places its
    /// frames: at equal offsets all fibers would meet in the same lines of the cache.
    Fiber(void (*entry)(), size_t number);
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    /// Leaves the running fiber `from` for `to`; returns when somebody switches back.
    static void switch_to(Fiber& from, Fiber& to);
    /// The first call of `entry`: `from` is the host thread's fiber that started it all.
    static void entered(Fiber& from);

    /// For ThreadSanitizer: the running host thread, and what reports call the fiber.
    void adopt_host_thread();
    void set_name(const char* name);

private:
    void* stack_pointer_ = nullptr;
    char* mapping_ = nullptr;
    const void* bottom_ = nullptr; // of the usable stack
    size_t bytes_ = 0;
    void* asan_fake_stack_ = nullptr;
    void* tsan_fiber_ = nullptr;
};

} // namespace simt::detail

#include "fiber.h"

#include <cstdint>
#include <new>

#include <sys/mman.h>

#include "sanitizers.h"

#if !defined(__x86_64__)
#error "the emulator switches stacks on x86-64 only"
#endif

// Saves what a call must preserve, exchanges the stacks, restores. ucontext would take 50 times as
// long: it asks the kernel for the signal mask.
asm(R"(
.text
.p2align 4
.type simt_switch_stack, @function
simt_switch_stack:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size simt_switch_stack, . - simt_switch_stack
)");
extern "C" void simt_switch_stack(void** saved, void* next) asm("simt_switch_stack");

namespace simt::detail {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kSavedRegisters = 6;
// Frames of instrumented code are several times as large.
constexpr size_t kStackBytes = kAsan || kTsan ? 256 << 10 : 64 << 10;

} // namespace

Fiber::Fiber(void (*entry)(), size_t number) {
    void* mapping = mmap(nullptr, kStackBytes + kPage, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (mapping == MAP_FAILED)
        throw std::bad_alloc();
    mapping_ = static_cast<char*>(mapping);
    (void)mprotect(mapping_, kPage, PROT_NONE); // an overflow stops there
    bottom_ = mapping_ + kPage;
    bytes_ = kStackBytes;

    // 5.0 ns a switch with this stagger, 8.3 without.
    const size_t stagger = number * 192 % kPage;
    auto* top = reinterpret_cast<uint64_t*>(mapping_ + kPage + kStackBytes - 64 - stagger);
    *--top = 0; // where entry would return to; aligns the stack as a call does
    *--top = reinterpret_cast<uint64_t>(entry);
    for (size_t i = 0; i < kSavedRegisters; ++i)
        *--top = 0;
    stack_pointer_ = top;
#if defined(SIMT_TSAN)
    tsan_fiber_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
    if (mapping_ == nullptr)
        return;
#if defined(SIMT_TSAN)
    __tsan_destroy_fiber(tsan_fiber_);
#endif
#if defined(SIMT_ASAN)
    __asan_unpoison_memory_region(mapping_, kStackBytes + kPage);
#endif
    munmap(mapping_, kStackBytes + kPage);
}

void Fiber::switch_to(Fiber& from, Fiber& to) {
#if defined(SIMT_ASAN)
    __sanitizer_start_switch_fiber(&from.asan_fake_stack_, to.bottom_, to.bytes_);
#endif
#if defined(SIMT_TSAN)
    __tsan_switch_to_fiber(to.tsan_fiber_, 1); // 1: orders nothing
#endif
    simt_switch_stack(&from.stack_pointer_, to.stack_pointer_);
#if defined(SIMT_ASAN)
    __sanitizer_finish_switch_fiber(from.asan_fake_stack_, nullptr, nullptr);
#endif
}

void Fiber::entered([[maybe_unused]] Fiber& from) {
#if defined(SIMT_ASAN)
    const void* bottom = nullptr;
    size_t bytes = 0;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
    if (from.bottom_ == nullptr) {
        from.bottom_ = bottom;
        from.bytes_ = bytes;
    }
#endif
}

void Fiber::adopt_host_thread() {
#if defined(SIMT_TSAN)
    tsan_fiber_ = __tsan_get_current_fiber();
#endif
}

void Fiber::set_name([[maybe_unused]] const char* name) {
#if defined(SIMT_TSAN)
    __tsan_set_fiber_name(tsan_fiber_, name);
#endif
}

} // namespace simt::detail

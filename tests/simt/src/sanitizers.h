// What AddressSanitizer and ThreadSanitizer must be told of fibers. Nothing in other builds.
//
// ThreadSanitizer takes each CUDA thread for a thread of its own, which a switch does not order:
// only what `order_before` and `order_after` say does. Inside a fiber the emulator, which is not
// instrumented, may call no function that ThreadSanitizer intercepts (malloc, memset, ...): it
// would take the access for the kernel's.
#pragma once

#include <cstddef>
#include <cstring>

#if defined(SIMT_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(SIMT_TSAN)
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_set_fiber_name(void* fiber, const char* name);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif

namespace simt::detail {

#if defined(SIMT_TSAN)
constexpr bool kTsan = true;
#else
constexpr bool kTsan = false;
#endif
#if defined(SIMT_ASAN)
constexpr bool kAsan = true;
#else
constexpr bool kAsan = false;
#endif

/// What comes before this in the calling fiber...
inline void order_before([[maybe_unused]] char& tag) {
#if defined(SIMT_TSAN)
    __tsan_release(&tag);
#endif
}
/// ... is seen by what comes after this in another.
inline void order_after([[maybe_unused]] char& tag) {
#if defined(SIMT_TSAN)
    __tsan_acquire(&tag);
#endif
}

/// All bits set: NaN in every floating-point format.
inline void poison(void* data, size_t bytes) {
    if constexpr (kTsan) {
        auto* byte = static_cast<volatile unsigned char*>(data);
        for (size_t i = 0; i < bytes; ++i)
            byte[i] = 0xff;
    } else {
        std::memset(data, 0xff, bytes);
    }
}

} // namespace simt::detail

// The device functions that kernels call.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <source_location>
#include <type_traits>

#include "simt/execution.h"

// `place` is where the kernel calls: the argument's default is made there.
inline void __syncthreads(simt::detail::Place place = std::source_location::current()) {
    (void)simt::detail::block_barrier(simt::detail::Reduction::none, 0, place);
}
inline int __syncthreads_count(int predicate,
                               simt::detail::Place place = std::source_location::current()) {
    return simt::detail::block_barrier(simt::detail::Reduction::count, predicate, place);
}
inline int __syncthreads_and(int predicate,
                             simt::detail::Place place = std::source_location::current()) {
    return simt::detail::block_barrier(simt::detail::Reduction::all, predicate, place);
}
inline int __syncthreads_or(int predicate,
                            simt::detail::Place place = std::source_location::current()) {
    return simt::detail::block_barrier(simt::detail::Reduction::any, predicate, place);
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
    simt::detail::collective(simt::detail::Collective::syncwarp, mask, nullptr);
}

// A segment is `width` lanes, a power of two; a lane whose source lies outside keeps its own value.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    const int lane = static_cast<int>(simt::detail::lane());
    return simt::detail::shuffle(mask, value, (lane & ~(width - 1)) | (source & (width - 1)));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
    const int lane = static_cast<int>(simt::detail::lane()), source = lane ^ lanes;
    const bool outside = source >= (lane & ~(width - 1)) + width;
    return simt::detail::shuffle(mask, value, outside ? lane : source);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned lanes, int width = 32) {
    const int lane = static_cast<int>(simt::detail::lane()), delta = static_cast<int>(lanes);
    const bool outside = (lane & (width - 1)) + delta >= width;
    return simt::detail::shuffle(mask, value, outside ? lane : lane + delta);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned lanes, int width = 32) {
    const int lane = static_cast<int>(simt::detail::lane()), delta = static_cast<int>(lanes);
    const bool outside = (lane & (width - 1)) < delta;
    return simt::detail::shuffle(mask, value, outside ? lane : lane - delta);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
    return simt::detail::vote(simt::detail::Collective::vote, mask, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate) {
    return __ballot_sync(mask, predicate) != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
    return __ballot_sync(mask, !predicate) == 0;
}
inline unsigned __match_any_sync(unsigned mask, unsigned value) {
    return simt::detail::vote(simt::detail::Collective::match, mask, value);
}

inline void __threadfence() {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
inline void __threadfence_block() {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
[[noreturn]] inline void __trap() {
    simt::detail::fail("__trap()");
}

namespace simt::detail {

// Returns the old value.
template <class T, class Change>
T atomic_update(T* data, Change change) {
    static_assert(sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8);
    using Bits = std::conditional_t<sizeof(T) == 8, uint64_t,
                                    std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>;
    Bits* bits = reinterpret_cast<Bits*>(data);
    Bits old = __atomic_load_n(bits, __ATOMIC_RELAXED);
    for (;;) {
        T value;
        std::memcpy(static_cast<void*>(&value), &old, sizeof(T));
        const T changed = change(value);
        Bits wanted;
        std::memcpy(&wanted, static_cast<const void*>(&changed), sizeof(T));
        if (__atomic_compare_exchange_n(bits, &old, wanted, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return value;
    }
}

} // namespace simt::detail

template <class T>
T atomicAdd(T* data, std::type_identity_t<T> x) {
    return simt::detail::atomic_update(data, [x](T old) -> T { return old + x; });
}
template <class T>
T atomicMax(T* data, std::type_identity_t<T> x) {
    return simt::detail::atomic_update(data, [x](T old) { return old > x ? old : x; });
}
template <class T>
T atomicMin(T* data, std::type_identity_t<T> x) {
    return simt::detail::atomic_update(data, [x](T old) { return old < x ? old : x; });
}
template <class T>
T atomicExch(T* data, std::type_identity_t<T> x) {
    return simt::detail::atomic_update(data, [x](T) { return x; });
}
template <class T>
T atomicCAS(T* data, std::type_identity_t<T> expected, std::type_identity_t<T> x) {
    __atomic_compare_exchange_n(data, &expected, x, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return expected;
}

template <class T>
T __ldg(const T* data) {
    return *data;
}
template <class T>
T __ldcs(const T* data) {
    return *data;
}
template <class T>
void __stcs(T* data, T value) {
    *data = value;
}

template <class A, class B>
constexpr std::common_type_t<A, B> min(A a, B b) {
    using C = std::common_type_t<A, B>;
    return C(b) < C(a) ? C(b) : C(a);
}
template <class A, class B>
constexpr std::common_type_t<A, B> max(A a, B b) {
    using C = std::common_type_t<A, B>;
    return C(a) < C(b) ? C(b) : C(a);
}

// The fast ones are as exact here as the others: a test's tolerance must allow for the GPU's.
inline float __expf(float x) {
    return expf(x);
}
inline float __exp2f(float x) {
    return exp2f(x);
}
inline float __logf(float x) {
    return logf(x);
}
inline float __fdividef(float x, float y) {
    return x / y;
}
inline float __fdiv_rn(float x, float y) {
    return x / y;
}
inline float __frcp_rn(float x) {
    return 1.0F / x;
}
inline float __fsqrt_rn(float x) {
    return sqrtf(x);
}
inline float rsqrtf(float x) {
    return 1.0F / sqrtf(x);
}
inline float __saturatef(float x) {
    return x > 0.0F ? (x < 1.0F ? x : 1.0F) : 0.0F; // NaN gives 0, as on the GPU
}
inline int __float2int_rn(float x) {
    return static_cast<int>(nearbyintf(x));
}
inline int __float2int_rd(float x) {
    return static_cast<int>(floorf(x));
}
inline int __dp4a(int x, int y, int sum) {
    auto result = static_cast<unsigned>(sum);
    for (int i = 0; i < 4; ++i)
        result += static_cast<unsigned>(static_cast<int8_t>(x >> 8 * i) *
                                        static_cast<int8_t>(y >> 8 * i));
    return static_cast<int>(result);
}
// Four bytes of the eight of (y, x), each by a digit of `selector`; its high bit spreads the sign.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
    const uint64_t both = static_cast<uint64_t>(y) << 32 | x;
    unsigned result = 0;
    for (unsigned i = 0; i < 4; ++i) {
        const unsigned digit = selector >> 4 * i & 15;
        unsigned byte = static_cast<unsigned>(both >> 8 * (digit & 7)) & 255;
        if (digit & 8)
            byte = byte & 128 ? 255 : 0;
        result |= byte << 8 * i;
    }
    return result;
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return static_cast<unsigned>((static_cast<uint64_t>(high) << 32 | low) >> (shift & 31));
}
inline int __popc(unsigned x) {
    return std::popcount(x);
}
inline int __clz(int x) {
    return std::countl_zero(static_cast<unsigned>(x));
}
inline int __ffs(int x) {
    return x != 0 ? std::countr_zero(static_cast<unsigned>(x)) + 1 : 0;
}
inline float __int_as_float(int x) {
    return std::bit_cast<float>(x);
}
inline int __float_as_int(float x) {
    return std::bit_cast<int>(x);
}
inline float __uint_as_float(unsigned x) {
    return std::bit_cast<float>(x);
}
inline unsigned __float_as_uint(float x) {
    return std::bit_cast<unsigned>(x);
}

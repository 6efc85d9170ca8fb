// CPU emulation of the CUDA execution model: one fiber per thread of a block, blocks spread over OS threads.
#pragma once
#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

// ---------------------------------------------------------------- qualifiers
#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __grid_constant__
// A block runs wholly on one OS thread, so block-shared storage is thread-local storage. The serial build
// (sanitizers) uses plain statics, because ASan puts no red zones round TLS variables.
#if defined(SIMT_SERIAL)
  #define __shared__ static
#else
  #define __shared__ static thread_local
#endif
#define SIMT_DYNAMIC_SHARED(T, name) T* const name = reinterpret_cast<T*>(::simt::detail::geo.dyn_smem)
#define SIMT_SHARED(T, name, dims)                                                       \
  using simt_t_##name = T dims;                                                          \
  simt_t_##name& name = *static_cast<simt_t_##name*>(                                    \
      ::simt::detail::shared_slot<decltype([] {})>(sizeof(simt_t_##name)))
#define threadIdx (::simt::detail::cur->tid)
#define blockIdx (::simt::detail::geo.bid)
#define blockDim (::simt::detail::geo.bdim)
#define gridDim (::simt::detail::geo.gdim)
#define warpSize 32

// ---------------------------------------------------------------- vector types
#define SIMT_VEC(T, n)                                                                                   \
  struct alignas(2 * sizeof(T)) n##2 { T x, y; };                                                        \
  struct n##3 { T x, y, z; };                                                                            \
  struct alignas(4 * sizeof(T) > 16 ? 16 : 4 * sizeof(T)) n##4 { T x, y, z, w; };                        \
  inline n##2 make_##n##2(T a, T b) { return {a, b}; }                                                   \
  inline n##3 make_##n##3(T a, T b, T c) { return {a, b, c}; }                                           \
  inline n##4 make_##n##4(T a, T b, T c, T d) { return {a, b, c, d}; }
SIMT_VEC(float, float) SIMT_VEC(int, int) SIMT_VEC(unsigned, uint) SIMT_VEC(unsigned char, uchar)
SIMT_VEC(short, short) SIMT_VEC(unsigned short, ushort) SIMT_VEC(double, double)
#undef SIMT_VEC
struct dim3 { unsigned x, y, z; constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {} };

namespace simt {
struct Config {          // also read from the environment: SIMT_ORDER=random, SIMT_SEED, SIMT_WORKERS
  bool random = false;   // random thread order inside every barrier interval
  uint64_t seed = 1;
  int workers = 0;       // 0 = hardware threads
  bool strict = true;    // barrier with exited threads, shuffle from absent lane, unequal masks => error
};
Config& config();
struct Stats { uint64_t switches, collectives, barriers, blocks, threads, fibers; };
Stats take_stats();

namespace detail {
struct Fiber; struct Warp; struct Worker;
struct Lane { uint3 tid; uint32_t linear; Warp* warp; Fiber* fiber; char name[24]; };
struct Geometry { uint3 bid; dim3 bdim, gdim; unsigned char* dyn_smem; uint64_t generation; };
#if defined(__clang__) || defined(__GNUC__)
  #define SIMT_TLS __attribute__((tls_model("initial-exec")))
#endif
extern thread_local constinit Lane* cur SIMT_TLS;
extern thread_local constinit Geometry geo SIMT_TLS;

enum class Op : uint16_t { syncwarp, shfl, ballot, match, mma_k8, imma, ldm2, ldm4, ldm4t };
struct ShflRec { uint64_t val, out; int src; };
struct VoteRec { int pred; unsigned out; };
struct MmaRec { unsigned a[4], b[2]; float c[4], d[4]; };
struct ImmaRec { unsigned a, b; int d[2]; };
struct LdmRec { uint4 row; unsigned out[4]; };

void warp_collective(Op op, unsigned mask, void* rec);      // returns when every lane of mask has called it
enum class Red { none, count, all, any };
int block_barrier(int id, unsigned nthreads, Red red, int pred);
void* shared_alloc(size_t n);
[[noreturn]] void fail(const char* msg);
void launch_erased(dim3 g, dim3 b, size_t smem, void (*body)(void*), void* args);

template <class Tag> inline void* shared_slot(size_t n) {
#if defined(SIMT_SERIAL)
  static void* p = nullptr; static uint64_t gen = 0;
#else
  static thread_local void* p = nullptr; static thread_local uint64_t gen = 0;
#endif
  if (gen != geo.generation) { p = shared_alloc(n); gen = geo.generation; }
  return p;
}
template <class T> inline T shfl(unsigned mask, T v, int src) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  ShflRec r{0, 0, src};
  std::memcpy(&r.val, &v, sizeof(T));
  warp_collective(Op::shfl, mask, &r);
  std::memcpy(static_cast<void*>(&v), &r.out, sizeof(T));
  return v;
}
}  // namespace detail

}  // namespace simt

// ---------------------------------------------------------------- device functions
inline void __syncthreads() { simt::detail::block_barrier(0, 0, simt::detail::Red::none, 0); }
inline int __syncthreads_count(int p) { return simt::detail::block_barrier(0, 0, simt::detail::Red::count, p); }
inline int __syncthreads_and(int p) { return simt::detail::block_barrier(0, 0, simt::detail::Red::all, p); }
inline int __syncthreads_or(int p) { return simt::detail::block_barrier(0, 0, simt::detail::Red::any, p); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { simt::detail::warp_collective(simt::detail::Op::syncwarp, mask, nullptr); }
template <class T> inline T __shfl_sync(unsigned m, T v, int src, int w = 32) {
  int l = simt::detail::cur->linear & 31; return simt::detail::shfl(m, v, (l & ~(w - 1)) | (src & (w - 1))); }
template <class T> inline T __shfl_xor_sync(unsigned m, T v, int x, int w = 32) {
  int l = simt::detail::cur->linear & 31, s = l ^ x; return simt::detail::shfl(m, v, s >= ((l & ~(w - 1)) + w) ? l : s); }
template <class T> inline T __shfl_down_sync(unsigned m, T v, unsigned d, int w = 32) {
  int l = simt::detail::cur->linear & 31, s = l + (int)d; return simt::detail::shfl(m, v, (l & (w - 1)) + (int)d >= w ? l : s); }
template <class T> inline T __shfl_up_sync(unsigned m, T v, unsigned d, int w = 32) {
  int l = simt::detail::cur->linear & 31; return simt::detail::shfl(m, v, (l & (w - 1)) < (int)d ? l : l - (int)d); }
inline unsigned __ballot_sync(unsigned m, int p) { simt::detail::VoteRec r{p, 0}; simt::detail::warp_collective(simt::detail::Op::ballot, m, &r); return r.out; }
inline int __any_sync(unsigned m, int p) { return __ballot_sync(m, p) != 0; }
inline int __all_sync(unsigned m, int p) { return __ballot_sync(m, !p) == 0; }
inline unsigned __match_any_sync(unsigned m, unsigned v) { simt::detail::VoteRec r{(int)v, 0}; simt::detail::warp_collective(simt::detail::Op::match, m, &r); return r.out; }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
[[noreturn]] inline void __trap() { simt::detail::fail("__trap()"); }

template <class T> inline T simt_atomic_rmw(T* p, T (*f)(T, T), T v) {
  using U = std::conditional_t<sizeof(T) == 8, uint64_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>;
  U* u = reinterpret_cast<U*>(p); U old = __atomic_load_n(u, __ATOMIC_RELAXED);
  for (;;) { T o; std::memcpy(static_cast<void*>(&o), &old, sizeof(T)); T n = f(o, v); U nu; std::memcpy(&nu, &n, sizeof(T));
    if (__atomic_compare_exchange_n(u, &old, nu, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return o; }
}
template <class T> inline T atomicAdd(T* p, std::type_identity_t<T> v) { return simt_atomic_rmw<T>(p, [](T a, T b) -> T { return a + b; }, v); }
template <class T> inline T atomicMax(T* p, std::type_identity_t<T> v) { return simt_atomic_rmw<T>(p, [](T a, T b) -> T { return a > b ? a : b; }, v); }
template <class T> inline T atomicMin(T* p, std::type_identity_t<T> v) { return simt_atomic_rmw<T>(p, [](T a, T b) -> T { return a < b ? a : b; }, v); }
template <class T> inline T atomicExch(T* p, std::type_identity_t<T> v) { return simt_atomic_rmw<T>(p, [](T, T b) -> T { return b; }, v); }
template <class T> inline T atomicCAS(T* p, std::type_identity_t<T> c, std::type_identity_t<T> v) {
  __atomic_compare_exchange_n(p, &c, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED); return c; }

template <class T> inline T __ldg(const T* p) { return *p; }
template <class T> inline T __ldcs(const T* p) { return *p; }
template <class T> inline void __stcs(T* p, T v) { *p = v; }
template <class A, class B> constexpr std::common_type_t<A, B> min(A a, B b) { using C = std::common_type_t<A, B>; return C(b) < C(a) ? C(b) : C(a); }
template <class A, class B> constexpr std::common_type_t<A, B> max(A a, B b) { using C = std::common_type_t<A, B>; return C(a) < C(b) ? C(b) : C(a); }
inline float __expf(float x) { return expf(x); }
inline float __exp2f(float x) { return exp2f(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.f / a; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
inline float __saturatef(float x) { return x < 0.f ? 0.f : x > 1.f ? 1.f : x; }
inline int __float2int_rn(float x) { return (int)nearbyintf(x); }
inline int __float2int_rd(float x) { return (int)floorf(x); }
inline int __dp4a(int a, int b, int c) {
  for (int i = 0; i < 4; ++i) c = (int)((unsigned)c + (unsigned)((int8_t)(a >> 8 * i) * (int8_t)(b >> 8 * i)));
  return c; }
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned s) {
  const uint64_t both = (uint64_t)y << 32 | x; unsigned r = 0;
  for (int i = 0; i < 4; ++i) { unsigned b = (unsigned)(both >> 8 * (s >> 4 * i & 7)) & 255; if (s >> 4 * i & 8) b = b & 128 ? 255 : 0; r |= b << 8 * i; }
  return r; }
inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned shift) { return (unsigned)(((uint64_t)hi << 32 | lo) >> (shift & 31)); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero((unsigned)x); }
inline int __ffs(int x) { return x ? std::countr_zero((unsigned)x) + 1 : 0; }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }

// Just enough of cuda_fp16.h for kernel code on the host (no CUDA toolkit needed). IEEE binary16, round-to-nearest-even.
// +,-,*,/ computed in float then rounded are correctly rounded (24 >= 2*11+2); fma goes through double.
#pragma once
#include <cuda_runtime.h>
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__F16C__)
  #include <immintrin.h>
#endif
namespace simt::detail {
inline float h2f(uint16_t h) {
#if defined(__F16C__)
  return _cvtsh_ss(h);
#else
  uint32_t s = (uint32_t)(h & 0x8000) << 16, e = (h >> 10) & 31, m = h & 0x3ff, r;
  if (e == 31) r = s | 0x7f800000 | (m << 13);
  else if (e) r = s | ((e + 112) << 23) | (m << 13);
  else { float f = (float)m * 0x1p-24f; memcpy(&r, &f, 4); r |= s; }
  float f; memcpy(&f, &r, 4); return f;
#endif
}
inline uint16_t f2h(float f) {
#if defined(__F16C__)
  return (uint16_t)_cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT);
#else
  uint32_t x; memcpy(&x, &f, 4);
  uint32_t s = (x >> 16) & 0x8000, a = x & 0x7fffffff;
  if (a > 0x7f800000) return (uint16_t)(s | 0x7e00 | ((a >> 13) & 0x3ff));
  if (a >= 0x477ff000) return (uint16_t)(s | 0x7c00);
  if (a < 0x38800000) { float t = fabsf(f) * 0x1p24f; return (uint16_t)(s | (uint32_t)nearbyintf(t)); }
  uint32_t r = a + 0xfff + ((a >> 13) & 1);
  return (uint16_t)(s | ((r - 0x38000000) >> 13));
#endif
}
}  // namespace simt::detail
struct __half_raw { unsigned short x; };
struct __half {
  unsigned short x;
  __half() = default;
  __half(float f) : x(simt::detail::f2h(f)) {}
  __half(double f) : x(simt::detail::f2h((float)f)) {}
  __half(int f) : x(simt::detail::f2h((float)f)) {}
  __half(__half_raw r) : x(r.x) {}
  operator float() const { return simt::detail::h2f(x); }
};
using half = __half;
struct alignas(4) __half2 {
  __half x, y;
  __half2() = default;
  __half2(__half a, __half b) : x(a), y(b) {}
};
using half2 = __half2;
inline float __half2float(__half h) { return h; }
inline __half __float2half(float f) { return __half(f); }
inline __half __float2half_rn(float f) { return __half(f); }
inline __half2 __floats2half2_rn(float a, float b) { return {__half(a), __half(b)}; }
inline __half2 __float22half2_rn(float2 f) { return {__half(f.x), __half(f.y)}; }
inline __half2 __float2half2_rn(float a) { return {__half(a), __half(a)}; }
inline float2 __half22float2(__half2 h) { return make_float2(h.x, h.y); }
inline __half2 __half2half2(__half h) { return {h, h}; }
inline __half2 __halves2half2(__half a, __half b) { return {a, b}; }
inline __half2 make_half2(__half a, __half b) { return {a, b}; }
inline __half __low2half(__half2 a) { return a.x; }
inline __half __high2half(__half2 a) { return a.y; }
inline float __low2float(__half2 a) { return a.x; }
inline float __high2float(__half2 a) { return a.y; }
inline __half __ushort_as_half(unsigned short u) { return __half_raw{u}; }
inline unsigned short __half_as_ushort(__half h) { return h.x; }
inline __half __hadd(__half a, __half b) { return (float)a + (float)b; }
inline __half __hsub(__half a, __half b) { return (float)a - (float)b; }
inline __half __hmul(__half a, __half b) { return (float)a * (float)b; }
inline __half __hdiv(__half a, __half b) { return (float)a / (float)b; }
inline __half __hneg(__half a) { return __half_raw{(unsigned short)(a.x ^ 0x8000)}; }
inline __half __hfma(__half a, __half b, __half c) { return (float)((double)(float)a * (double)(float)b + (double)(float)c); }
inline __half __hmax(__half a, __half b) { return fmaxf(a, b); }
inline __half __hmin(__half a, __half b) { return fminf(a, b); }
inline __half hexp(__half a) { return expf(a); }
inline __half hexp2(__half a) { return exp2f(a); }
inline __half hrsqrt(__half a) { return 1.f / sqrtf(a); }
inline __half hrcp(__half a) { return 1.f / (float)a; }
inline __half operator+(__half a, __half b) { return __hadd(a, b); }
inline __half operator-(__half a, __half b) { return __hsub(a, b); }
inline __half operator*(__half a, __half b) { return __hmul(a, b); }
inline __half operator/(__half a, __half b) { return __hdiv(a, b); }
#define SIMT_H2(name, f1) inline __half2 name(__half2 a, __half2 b) { return {f1(a.x, b.x), f1(a.y, b.y)}; }
SIMT_H2(__hadd2, __hadd) SIMT_H2(__hsub2, __hsub) SIMT_H2(__hmul2, __hmul) SIMT_H2(__h2div, __hdiv)
SIMT_H2(__hmax2, __hmax) SIMT_H2(__hmin2, __hmin) SIMT_H2(operator+, __hadd) SIMT_H2(operator*, __hmul)
SIMT_H2(operator-, __hsub) SIMT_H2(operator/, __hdiv)
#undef SIMT_H2
inline __half2 __hfma2(__half2 a, __half2 b, __half2 c) { return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)}; }
inline __half2 __hneg2(__half2 a) { return {__hneg(a.x), __hneg(a.y)}; }
inline __half2 h2exp(__half2 a) { return {hexp(a.x), hexp(a.y)}; }
inline __half2 h2exp2(__half2 a) { return {hexp2(a.x), hexp2(a.y)}; }
inline __half2 h2rcp(__half2 a) { return {hrcp(a.x), hrcp(a.y)}; }

// Shared memory, so that the emulator sees its extent, poisons it and counts bank conflicts.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#if defined(YEOUL_SIMT)
/// T name extents, in static shared memory: YEOUL_SHARED(float, sums, [32]);
#define YEOUL_SHARED(T, name, extents) SIMT_SHARED(T, name, extents)
/// T* name, the dynamic shared memory of the block, 16-byte aligned.
#define YEOUL_DYNAMIC_SHARED(T, name) SIMT_DYNAMIC_SHARED(T, name)
#else
#define YEOUL_SHARED(T, name, extents) __shared__ __align__(16) T name extents
#define YEOUL_DYNAMIC_SHARED(T, name)                                                              \
    extern __shared__ __align__(16) unsigned char yeoul_dynamic_shared[];                          \
    T* const name = reinterpret_cast<T*>(yeoul_dynamic_shared)
#endif

namespace yeoul::cuda {

/// One vector access to shared memory; T is 4, 8 or 16 bytes and `x` aligned to it.
template <class T>
__device__ __forceinline__ T load_shared(const void* x) {
#if defined(YEOUL_SIMT)
    simt::count_shared_access(x, sizeof(T));
#endif
    return *static_cast<const T*>(x);
}
template <class T>
__device__ __forceinline__ void store_shared(void* y, T value) {
#if defined(YEOUL_SIMT)
    simt::count_shared_access(y, sizeof(T));
#endif
    *static_cast<T*>(y) = value;
}

} // namespace yeoul::cuda

// The one way to launch a kernel, taken by nvcc and by the emulator of tests/simt alike.
#pragma once

#include <cstddef>
#include <tuple>
#include <utility>

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <yeoul/types.h>

#include "kernels/cuda/check.h"

namespace yeoul::cuda {

inline cudaStream_t cuda_stream(StreamRef stream) {
    return static_cast<cudaStream_t>(stream.handle());
}

/// Loads the kernel onto the current device and lets its blocks take `smem_bytes` of dynamic shared
/// memory. For the making of an op: it may synchronize.
template <class... P>
void prepare(void (*kernel)(P...), size_t smem_bytes) {
    const void* function = reinterpret_cast<const void*>(kernel);
    cudaFuncAttributes attributes{};
    YEOUL_CUDA(cudaFuncGetAttributes(&attributes, function));
    if (smem_bytes > 48 * 1024) // above this a kernel must opt in
        YEOUL_CUDA(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                        static_cast<int>(smem_bytes)));
}

/// `args` convert to the kernel's parameters as in a call.
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t smem_bytes, StreamRef stream,
            A&&... args) {
    static_assert(sizeof...(P) == sizeof...(A), "wrong number of kernel arguments");
    std::tuple<P...> values(static_cast<P>(std::forward<A>(args))...);
#if defined(YEOUL_SIMT)
    YEOUL_CUDA(
        simt::launch(kernel, grid, block, smem_bytes, cuda_stream(stream), std::move(values)));
#else
    std::apply(
        [&](P&... value) {
            void* pointers[] = {static_cast<void*>(&value)..., nullptr};
            YEOUL_CUDA(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block,
                                        pointers, smem_bytes, cuda_stream(stream)));
        },
        values);
#endif
}

} // namespace yeoul::cuda

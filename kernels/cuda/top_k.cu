// Softmax and the k largest, a block for each row.
//
// Every thread keeps the best of its own classes; k times the block takes the best of those, and
// its owner looks for its next one. Beside the two passes of the softmax that is k * 1 us for 1,000
// classes; only 65,536 classes with k = 64 make the rescans count (8 us each at most).
#include <cmath>

#include "kernels/checks.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/shared.cuh"
#include "kernels/cuda/device/warp.cuh"
#include "kernels/cuda/ops.h"

namespace yeoul::cuda {
namespace {

constexpr int kTopKThreads = 256; // 4 classes each of 1,000; 4 blocks fill an SM of sm_75
constexpr int kTopKWarps = kTopKThreads / kWarp;

// A class as a number whose order is the wanted one: by value, then by lower index. 0 is below all.
using Rank = unsigned long long;

__device__ __forceinline__ Rank rank_of(float value, int index) {
    const unsigned bits = __float_as_uint(value == 0 ? 0.0f : value); // -0 equals 0
    const unsigned ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return static_cast<Rank>(ordered) << 32 | (0xffffffffu - static_cast<unsigned>(index));
}
__device__ __forceinline__ int index_of(Rank rank) {
    return static_cast<int>(0xffffffffu - static_cast<unsigned>(rank));
}

struct Larger {
    template <class T>
    __device__ __forceinline__ T operator()(T a, T b) const {
        return a > b ? a : b;
    }
};
struct Sum {
    __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};

// Every thread gets the same; `parts` has a place for each warp. The first barrier lets the readers
// of the call before finish, the second one shows the parts.
template <class T, class Merge>
__device__ __forceinline__ T over_block(T x, T (&parts)[kTopKWarps], Merge merge) {
#pragma unroll
    for (int lanes = kWarp / 2; lanes > 0; lanes /= 2)
        x = merge(x, __shfl_xor_sync(kAllLanes, x, lanes));
    __syncthreads();
    if (threadIdx.x % kWarp == 0)
        parts[threadIdx.x / kWarp] = x;
    __syncthreads();
    T all = parts[0];
#pragma unroll
    for (int warp = 1; warp < kTopKWarps; ++warp)
        all = merge(all, parts[warp]);
    return all;
}

// The best of this thread's classes that rank below `bound`; 0 where there is none.
__device__ __forceinline__ Rank best_below(const float* x, int classes, Rank bound) {
    Rank best = 0;
    for (int i = threadIdx.x; i < classes; i += kTopKThreads) {
        const Rank rank = rank_of(x[i], i);
        if (rank < bound && rank > best)
            best = rank;
    }
    return best;
}

// A block owns a row, a thread every 256th class of it.
__global__ void __launch_bounds__(kTopKThreads) top_k_kernel(const float* x, // (batch, classes)
                                                             float* values,  // (batch, k)
                                                             int* indices,   // (batch, k)
                                                             int classes, int k) {
    YEOUL_SHARED(float, floats, [kTopKWarps]);
    YEOUL_SHARED(Rank, ranks, [kTopKWarps]);
    x += static_cast<size_t>(blockIdx.x) * classes;
    values += static_cast<size_t>(blockIdx.x) * k;
    indices += static_cast<size_t>(blockIdx.x) * k;

    float largest = -INFINITY;
    for (int i = threadIdx.x; i < classes; i += kTopKThreads)
        largest = fmaxf(largest, x[i]); // passes over NaN, which the sum shows
    largest = over_block(largest, floats, Larger{});
    float sum = 0;
    for (int i = threadIdx.x; i < classes; i += kTopKThreads)
        sum += expf(x[i] - largest); // NaN where x is, or where the largest is infinite
    sum = over_block(sum, floats, Sum{});
    if (!(sum < INFINITY)) { // the same in every thread
        for (int i = threadIdx.x; i < k; i += kTopKThreads) {
            values[i] = NAN;
            indices[i] = -1;
        }
        return;
    }

    Rank best = best_below(x, classes, ~Rank{0});
    for (int i = 0; i < k; ++i) {
        const Rank winner = over_block(best, ranks, Larger{});
        const int index = index_of(winner);
        if (index % kTopKThreads == static_cast<int>(threadIdx.x)) {
            values[i] = expf(x[index] - largest) / sum;
            indices[i] = index;
            best = best_below(x, classes, winner);
        }
    }
}

class CudaTopK final : public TopK {
public:
    explicit CudaTopK(const TopKDesc& desc) : desc_(desc), batches_("top_k", desc.batches) {
        prepare(top_k_kernel, 0);
    }

    void operator()(const View& x, const View& values, const View& indices, Scratch,
                    StreamRef stream) override {
        const int batch = leading(x);
        batches_.index(batch);
        require_top_k(desc_, batch, x, values, indices);
        require_aligned("top_k", "x", x, sizeof(float));
        require_aligned("top_k", "values", values, sizeof(float));
        require_aligned("top_k", "indices", indices, sizeof(int));
        launch(top_k_kernel, dim3(batch), dim3(kTopKThreads), 0, stream, x.as<const float>(),
               values.as<float>(), indices.as<int>(), x.last(), desc_.k);
    }

    std::string kernel(int batch) const override {
        batches_.index(batch);
        return "block per row";
    }

private:
    TopKDesc desc_;
    Batches batches_;
};

} // namespace

std::unique_ptr<TopK> make_top_k(const Context&, const TopKDesc& desc) {
    require_top_k(desc);
    return std::make_unique<CudaTopK>(desc);
}

} // namespace yeoul::cuda

// Photos against labels in fp32: a warp takes 4 labels and 8 photos, lanes share the dims.
//
// No tensor cores: they would round x to fp16, which moves a logit of scale 100 by 0.05, and there
// is nothing to gain. 1,000 labels of 512 dims at batch 32 are 33 MFLOP and 1 MB of labels, some
// 10 us on a T4 beside a tower of 11 ms.
#include <cmath>
#include <limits>

#include "kernels/checks.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/pack.cuh"
#include "kernels/cuda/device/warp.cuh"
#include "kernels/cuda/ops.h"

namespace yeoul::cuda {
namespace {

// 32 sums, one for each lane to finish; 256 FMAs for every 20 loads of 16 bytes. 1,000 labels at
// batch 32 make 252 blocks, six for each SM of a T4. Its registers hold three blocks of 4 warps at
// a time; two of 8 warps would spill.
constexpr int kLabels = 4, kPhotos = 8;
constexpr int kSums = kLabels * kPhotos;
constexpr int kSimilarityWarps = 4;
static_assert(kSums == kWarp, "each lane finishes one sum");

// Lane i gets the sum over all lanes of sums[i]: 31 shuffles instead of 5 for each.
__device__ __forceinline__ float transposed_sum(float (&sums)[kSums], int lane) {
#pragma unroll
    for (int half = kSums / 2; half > 0; half /= 2) {
        const bool upper = (lane & half) != 0;
#pragma unroll
        for (int i = 0; i < half; ++i) {
            const float keep = upper ? sums[i + half] : sums[i];
            const float give = upper ? sums[i] : sums[i + half];
            sums[i] = keep + __shfl_xor_sync(kAllLanes, give, half);
        }
    }
    return sums[0];
}

// A warp owns a tile of 8 photos by 4 labels; lanes meet only in the sum. Rows past the last are
// read as the last one and not written.
__global__ void __launch_bounds__(kSimilarityWarps* kWarp, 3)
    similarity_kernel(const float* x,    // (batch, dim)
                      const float* norm, // (batch)
                      const half* w,     // (labels, dim)
                      float* y,          // (batch, labels)
                      int batch, int labels, int dim, float scale) {
    const int lane = threadIdx.x % kWarp;
    const int first_label = (blockIdx.x * kSimilarityWarps + threadIdx.x / kWarp) * kLabels;
    const int first_photo = blockIdx.y * kPhotos;
    if (first_label >= labels)
        return;
    float sums[kSums] = {};
    for (int i = lane * kPack; i < dim; i += kWarp * kPack) {
        float label[kLabels][kPack];
#pragma unroll
        for (int l = 0; l < kLabels; ++l) {
            const size_t row = min(first_label + l, labels - 1);
            unpack(*reinterpret_cast<const uint4*>(w + row * dim + i), label[l]);
        }
#pragma unroll
        for (int p = 0; p < kPhotos; ++p) {
            const size_t row = min(first_photo + p, batch - 1);
            float photo[kPack];
            load_floats(x + row * dim + i, photo);
#pragma unroll
            for (int l = 0; l < kLabels; ++l)
#pragma unroll
                for (int e = 0; e < kPack; ++e)
                    sums[p * kLabels + l] = fmaf(photo[e], label[l][e], sums[p * kLabels + l]);
        }
    }
    const float sum = transposed_sum(sums, lane);
    const int photo = first_photo + lane / kLabels, label = first_label + lane % kLabels;
    if (photo >= batch || label >= labels)
        return;
    const float length = norm[photo];
    const bool usable = length > 0 && length < INFINITY; // false for NaN
    y[static_cast<size_t>(photo) * labels + label] = usable ? sum / length * scale : NAN;
}

constexpr int kMaxPhotos = 65535 * kPhotos; // of grid.y

class CudaSimilarity final : public Similarity {
public:
    explicit CudaSimilarity(const SimilarityDesc& desc)
        : desc_(desc), batches_("similarity", desc.batches) {
        YEOUL_REQUIRE(batches_.largest() <= kMaxPhotos,
                      "similarity: batch " << batches_.largest() << " is over " << kMaxPhotos);
        prepare(similarity_kernel, 0);
    }

    void operator()(const View& x, const View& norm, const View& w, const View& y, Scratch,
                    StreamRef stream) override {
        const int batch = leading(x);
        batches_.index(batch);
        require_similarity(desc_, batch, x, norm, w, y);
        require_aligned("similarity", "x", x, sizeof(float4));
        require_aligned("similarity", "norm", norm, sizeof(float));
        require_aligned("similarity", "w", w, sizeof(uint4));
        require_aligned("similarity", "y", y, sizeof(float));
        const int labels = leading(w);
        launch(similarity_kernel, grid(labels, batch), dim3(kSimilarityWarps * kWarp), 0, stream,
               x.as<const float>(), norm.as<const float>(), w.as<const half>(), y.as<float>(),
               batch, labels, desc_.dim, desc_.scale);
    }

    std::string kernel(int batch) const override {
        batches_.index(batch);
        const dim3 blocks = grid(desc_.labels, batch);
        return "warp per 8 photos x 4 labels, " + std::to_string(size_t{blocks.x} * blocks.y) +
               " blocks";
    }

private:
    static dim3 grid(int labels, int batch) {
        constexpr int kBlockLabels = kSimilarityWarps * kLabels;
        return dim3((labels + kBlockLabels - 1) / kBlockLabels, (batch + kPhotos - 1) / kPhotos);
    }

    SimilarityDesc desc_;
    Batches batches_;
};

} // namespace

std::unique_ptr<Similarity> make_similarity(const Context&, const SimilarityDesc& desc) {
    require_similarity(desc);
    YEOUL_REQUIRE(desc.w == DType::f16, "similarity: w is " << name(desc.w) << ", must be fp16");
    YEOUL_REQUIRE(desc.dim % kPack == 0,
                  "similarity: dim is " << desc.dim << ", must be a multiple of " << kPack);
    return std::make_unique<CudaSimilarity>(desc);
}

} // namespace yeoul::cuda

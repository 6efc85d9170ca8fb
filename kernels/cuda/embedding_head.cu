// The end of a tower in two launches: norm and projection of one token each, then lengths.
//
// project: a block normalizes the pooled tokens of some photos and multiplies them with some rows
// of w. Each block of a photo repeats the norm, which costs less than a third launch. w comes from
// L2 (ViT-B/32: 768 KB of 4 MB) once for every `photos` photos, 2 * out * dim * batch / photos
// bytes; memory itself moves w, those tokens and y once. At batch 64 it is bound by 2 * batch * out
// * dim FLOP of fp32 FMA, 6 us of a T4 at full rate, 0.03 % of the tower at 25 TFLOPS; at batch 1
// by the latency of one row of x and one of w, with 64 blocks for 512 outputs.
//
// The normalized row stays fp32 and w is fp16, so the product is rounded nowhere. The terms of a
// sum are added in the same order whatever the tile: a vector does not depend on its batch.
#include "kernels/checks.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/row_norm.cuh"
#include "kernels/cuda/device/shared.cuh"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/weights.h"

namespace yeoul::cuda {
namespace {

constexpr int kHeadWarps = 8;
constexpr int kHeadThreads = kHeadWarps * kWarp;
constexpr int kStagedPacks = 512; // 16 KB: with the norm's sums at most 3 blocks on an SM of sm_75
constexpr int kLengthsPerBlock = 4; // rows, and so warps

struct HeadArgs {
    const half* x;       // (batch, tokens, dim)
    const int* index;    // (batch): the token of each photo; null takes the first
    const float* weight; // (dim)
    const float* bias;   // (dim)
    const half* w;       // (out, padded), zeros from dim on
    float* y;            // (batch, out)
    int batch, tokens, dim, out, padded;
    float eps;
};

// The pack at `at` of a row, zeros from `dim` on. Rows of whole packs are read 16 bytes at a time.
__device__ __forceinline__ void load_pack(const half* row, int at, int dim, float (&y)[kPack]) {
    if (dim % kPack == 0) {
        unpack(reinterpret_cast<const uint4*>(row)[at], y);
    } else {
#pragma unroll
        for (int i = 0; i < kPack; ++i)
            y[i] = at * kPack + i < dim ? __half2float(row[at * kPack + i]) : 0.0f;
    }
}

// Moments of a row of any length, read twice: the second time from L1.
__device__ __forceinline__ Moments moments_of_row(const half* row, int dim, float eps) {
    if (dim % kPack != 0)
        return moments_of(dim, eps, [row](int i) { return __half2float(row[i]); });
    const int lane = threadIdx.x % kWarp, packs = dim / kPack;
    float x[kPack], sum = 0, squares = 0;
    for (int at = lane; at < packs; at += kWarp) {
        load_pack(row, at, dim, x);
        sum += tree_sum(x);
    }
    const float mean = warp_sum(sum) / dim;
    for (int at = lane; at < packs; at += kWarp) {
        load_pack(row, at, dim, x);
        squares += squared_distances(x, mean);
    }
    return {mean, inverse_deviation(warp_sum(squares) / dim, eps)};
}

// The token of a photo that is pooled, or -1 where the index is none.
__device__ __forceinline__ int pooled_token(const HeadArgs& a, int photo) {
    const int token = a.index == nullptr ? 0 : a.index[photo];
    return token >= 0 && token < a.tokens ? token : -1;
}

// A block owns kPhotos photos (y) and kHeadWarps * kOutputs outputs (x). Warp p owns the token of
// photo p and its moments; all threads stage normalized values, a stretch of each row at a time;
// then a warp owns kOutputs rows of w, a lane the packs l, l + 32, ... of all of them. Barriers:
// after the moments, after a stretch is staged, and before the next one overwrites it.
template <int kPhotos, int kOutputs>
__global__ void __launch_bounds__(kHeadThreads) project(HeadArgs a) {
    constexpr int kStretch = kStagedPacks / kPhotos; // packs of a row at a time
    static_assert(kPhotos <= kHeadWarps && kStretch % kWarp == 0);
    // (photo, half of a pack, pack): lanes read neighbouring 16 bytes, without bank conflicts.
    YEOUL_SHARED(float4, staged, [kPhotos][2][kStretch]);
    YEOUL_SHARED(Moments, row_moments, [kPhotos]);
    YEOUL_SHARED(const half*, pooled, [kPhotos]); // (dim) each
    const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
    const int first_photo = blockIdx.y * kPhotos, photos = min(kPhotos, a.batch - first_photo);
    const int first_output = (blockIdx.x * kHeadWarps + warp) * kOutputs;
    const size_t photo_values = static_cast<size_t>(a.tokens) * a.dim;
    const half* x = a.x + first_photo * photo_values;

    if (warp < photos) {
        const int token = pooled_token(a, first_photo + warp);
        const half* row = x + warp * photo_values + static_cast<size_t>(max(token, 0)) * a.dim;
        Moments m = moments_of_row(row, a.dim, a.eps);
        if (token < 0) // any row will do: it becomes NaN
            m.scale = __int_as_float(0x7fffffff);
        if (lane == 0) {
            row_moments[warp] = m;
            pooled[warp] = row;
        }
    }
    __syncthreads();

    const half* rows[kOutputs];
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) // beyond the end a warp repeats the last row
        rows[o] = a.w + static_cast<size_t>(min(first_output + o, a.out - 1)) * a.padded;
    float sums[kPhotos][kOutputs] = {};
    const int packs = a.padded / kPack;
    for (int begin = 0; begin < packs; begin += kStretch) {
        const int stretch = min(kStretch, packs - begin);
        if (begin > 0)
            __syncthreads();
        for (int i = threadIdx.x; i < kPhotos * stretch; i += kHeadThreads) {
            const int photo = i / stretch, at = i - photo * stretch, first = (begin + at) * kPack;
            float values[kPack] = {};
            if (photo < photos) {
                load_pack(pooled[photo], begin + at, a.dim, values);
                const Moments m = row_moments[photo];
#pragma unroll
                for (int j = 0; j < kPack; ++j)
                    values[j] = first + j < a.dim ? normalized(values[j], m, a.weight[first + j],
                                                               a.bias[first + j])
                                                  : 0.0f;
            }
            store_shared(&staged[photo][0][at],
                         make_float4(values[0], values[1], values[2], values[3]));
            store_shared(&staged[photo][1][at],
                         make_float4(values[4], values[5], values[6], values[7]));
        }
        __syncthreads();
        for (int at = lane; at < stretch; at += kWarp) {
            float w[kOutputs][kPack];
#pragma unroll
            for (int o = 0; o < kOutputs; ++o)
                unpack(reinterpret_cast<const uint4*>(rows[o])[begin + at], w[o]);
#pragma unroll
            for (int p = 0; p < kPhotos; ++p) {
                const float4 low = load_shared<float4>(&staged[p][0][at]);
                const float4 high = load_shared<float4>(&staged[p][1][at]);
#pragma unroll
                for (int o = 0; o < kOutputs; ++o) {
                    float sum = sums[p][o];
                    sum = fmaf(low.x, w[o][0], sum);
                    sum = fmaf(low.y, w[o][1], sum);
                    sum = fmaf(low.z, w[o][2], sum);
                    sum = fmaf(low.w, w[o][3], sum);
                    sum = fmaf(high.x, w[o][4], sum);
                    sum = fmaf(high.y, w[o][5], sum);
                    sum = fmaf(high.z, w[o][6], sum);
                    sum = fmaf(high.w, w[o][7], sum);
                    sums[p][o] = sum;
                }
            }
        }
    }
#pragma unroll
    for (int p = 0; p < kPhotos; ++p)
#pragma unroll
        for (int o = 0; o < kOutputs; ++o) {
            const float sum = warp_sum(sums[p][o]);
            if (lane == 0 && p < photos && first_output + o < a.out)
                a.y[static_cast<size_t>(first_photo + p) * a.out + first_output + o] = sum;
        }
}

// One warp owns one photo. NaN and infinity pass through the sum and the root.
__global__ void __launch_bounds__(kLengthsPerBlock* kWarp) lengths(const float* x, // (batch, out)
                                                                   float* norm,    // (batch)
                                                                   int batch, int out) {
    const int row = warp_row();
    if (row >= batch)
        return;
    x += static_cast<size_t>(row) * out;
    float squares = 0;
    for (int i = threadIdx.x % kWarp; i < out; i += kWarp)
        squares = fmaf(x[i], x[i], squares);
    squares = warp_sum(squares);
    if (threadIdx.x % kWarp == 0)
        norm[row] = sqrtf(squares);
}

// Tiles of `project`, by the smallest batch that each serves: more photos share a row of w, but
// 512 outputs should still give each of 40 SMs a block.
struct HeadTile {
    int from_batch, photos, outputs;
    void (*kernel)(HeadArgs);
};
constexpr HeadTile kTiles[] = {
    {32, 8, 4, project<8, 4>}, {3, 4, 2, project<4, 2>}, {1, 1, 1, project<1, 1>}};

const HeadTile& tile_for(int batch) {
    const HeadTile* tile = kTiles;
    while (batch < tile->from_batch)
        ++tile;
    return *tile;
}

class CudaEmbeddingHead final : public EmbeddingHead {
public:
    CudaEmbeddingHead(const Context& context, const EmbeddingHeadDesc& desc,
                      const EmbeddingHeadWeights& weights)
        : desc_(desc), batches_("embedding_head", desc.batches),
          padded_((desc.dim + kPack - 1) / kPack * kPack),
          norm_weight_(upload_fp32(context, {weights.norm.weight})),
          norm_bias_(upload_fp32(context, {weights.norm.bias})),
          projection_(upload_fp16(context, "the projection of the embedding head",
                                  {weights.projection}, desc.dim, padded_)) {
        for (const HeadTile& tile : kTiles)
            prepare(tile.kernel, 0);
        prepare(lengths, 0);
        YEOUL_REQUIRE(batches_.largest() <= 65535,
                      "embedding_head: batch " << batches_.largest() << " is above 65535");
    }

    void operator()(const View& x, const View& index, const View& y, const View& norm, Scratch,
                    StreamRef stream) override {
        const int batch = leading(x);
        batches_.index(batch);
        require_embedding_head(desc_, batch, x, index, y, norm);
        require_aligned("embedding_head", "x", x, sizeof(uint4));
        require_aligned("embedding_head", "index", index, sizeof(int));
        require_aligned("embedding_head", "y", y, sizeof(float));
        require_aligned("embedding_head", "norm", norm, sizeof(float));
        require_apart("embedding_head", "x", x, "y", y);
        require_apart("embedding_head", "x", x, "norm", norm);
        require_apart("embedding_head", "y", y, "norm", norm);
        if (index) {
            require_apart("embedding_head", "index", index, "y", y);
            require_apart("embedding_head", "index", index, "norm", norm);
        }
        const HeadArgs args{.x = x.as<const half>(),
                            .index = index.as<const int>(),
                            .weight = norm_weight_.as<float>(),
                            .bias = norm_bias_.as<float>(),
                            .w = projection_.as<half>(),
                            .y = y.as<float>(),
                            .batch = batch,
                            .tokens = desc_.tokens,
                            .dim = desc_.dim,
                            .out = desc_.out,
                            .padded = padded_,
                            .eps = desc_.eps};
        const HeadTile& tile = tile_for(batch);
        launch(
            tile.kernel,
            dim3((desc_.out - 1) / (kHeadWarps * tile.outputs) + 1, (batch - 1) / tile.photos + 1),
            dim3(kHeadThreads), 0, stream, args);
        launch(lengths, dim3((batch - 1) / kLengthsPerBlock + 1), dim3(kLengthsPerBlock * kWarp), 0,
               stream, y.as<const float>(), norm.as<float>(), batch, desc_.out);
    }

    size_t weight_bytes() const override {
        return norm_weight_.bytes() + norm_bias_.bytes() + projection_.bytes();
    }
    std::string kernel(int batch) const override {
        batches_.index(batch);
        const HeadTile& tile = tile_for(batch);
        return std::to_string(tile.photos) + " photos x " +
               std::to_string(kHeadWarps * tile.outputs) + " outputs, fp32 FMA";
    }

private:
    EmbeddingHeadDesc desc_;
    Batches batches_;
    int padded_;
    DeviceWeights norm_weight_, norm_bias_, projection_;
};

} // namespace

std::unique_ptr<EmbeddingHead> make_embedding_head(const Context& context,
                                                   const EmbeddingHeadDesc& desc,
                                                   const EmbeddingHeadWeights& weights) {
    require_positive("embedding_head", "tokens", desc.tokens);
    require_positive("embedding_head", "dim", desc.dim);
    require_positive("embedding_head", "out", desc.out);
    require_fp16("embedding_head", "x", desc.x);
    require_fp16("embedding_head", "compute", desc.compute);
    require_weight("embedding_head", "norm weight", weights.norm.weight, desc.dim);
    require_weight("embedding_head", "norm bias", weights.norm.bias, desc.dim);
    const size_t outputs = weights.projection.elements() / desc.dim;
    YEOUL_REQUIRE(!weights.projection || outputs == static_cast<size_t>(desc.out),
                  "embedding_head: projection has " << outputs << " rows, must have " << desc.out);
    require_weight("embedding_head", "projection", weights.projection,
                   static_cast<size_t>(desc.out) * desc.dim);
    return std::make_unique<CudaEmbeddingHead>(context, desc, weights);
}

} // namespace yeoul::cuda

// Class token, positions and the first norm in one pass: a warp for each row of y, which stays in
// registers. Memory moves x once and y once, 2 * batch * (2 * patches + 1) * dim bytes; positions
// and norm weights, 12 dim bytes a row, come from L2 (ViT-B/32: 154 KB of positions). Designed for
// 85 % of a T4's copy rate from batch 8 on.
//
// Positions stay fp32, as the sum that they enter does: half the bytes would only save L2 traffic,
// and rounding them would cost a second fp16 rounding. The class embedding is the same for every
// photo, so it is added to the first position once, on the host.
#include "kernels/checks.h"
#include "kernels/convert.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/row_norm.cuh"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/weights.h"

namespace yeoul::cuda {
namespace {

struct TokenEmbeddingArgs {
    const half* x;         // (batch, tokens - 1, dim)
    const float* position; // (tokens, dim), the class embedding added to the first row
    const float* weight;   // (dim), or null: no norm
    const float* bias;     // (dim)
    half* y;               // (batch, tokens, dim)
    int rows;              // batch * tokens
    int tokens, dim;
    float eps;
};

// Row `row` of x where y has row `row`, less the class tokens up to there.
__device__ __forceinline__ size_t input_row(int row, int tokens) {
    return static_cast<size_t>(row - row / tokens - 1);
}

// One warp owns one row, lane l its packs l, l + 32, ...; lanes meet only in the norm's sums.
template <int V>
__global__ void __launch_bounds__(kMaxRowsPerBlock* kWarp) embed_packs(TokenEmbeddingArgs a) {
    const int row = warp_row();
    const int lane = threadIdx.x % kWarp, packs = a.dim / kPack;
    if (row >= a.rows)
        return;
    const int token = row % a.tokens;
    uint4 raw[V] = {};
    if (token > 0) {
        const uint4* in = reinterpret_cast<const uint4*>(a.x + input_row(row, a.tokens) * a.dim);
#pragma unroll
        for (int i = 0; i < V; ++i)
            if (lane + i * kWarp < packs)
                raw[i] = in[lane + i * kWarp];
    }
    const float* position = a.position + static_cast<size_t>(token) * a.dim;
    float values[V][kPack] = {};
#pragma unroll
    for (int i = 0; i < V; ++i)
        if (lane + i * kWarp < packs) {
            float p[kPack];
            load_floats(position + (lane + i * kWarp) * kPack, p);
            unpack(raw[i], values[i]);
#pragma unroll
            for (int j = 0; j < kPack; ++j)
                values[i][j] += p[j];
        }
    Moments m{};
    if (a.weight != nullptr)
        m = moments(values, packs, a.eps);
    uint4* out = reinterpret_cast<uint4*>(a.y + static_cast<size_t>(row) * a.dim);
#pragma unroll
    for (int i = 0; i < V; ++i) {
        const int at = lane + i * kWarp;
        if (at < packs) {
            if (a.weight != nullptr)
                normalize(values[i], at, m, a.weight, a.bias);
            out[at] = pack(values[i]);
        }
    }
}

// Any dim: the later passes find the row in L1.
__global__ void __launch_bounds__(kMaxRowsPerBlock* kWarp) embed_values(TokenEmbeddingArgs a) {
    const int row = warp_row();
    if (row >= a.rows)
        return;
    const int token = row % a.tokens;
    const half* x = token == 0 ? nullptr : a.x + input_row(row, a.tokens) * a.dim;
    const float* position = a.position + static_cast<size_t>(token) * a.dim;
    half* y = a.y + static_cast<size_t>(row) * a.dim;
    const auto value = [&](int i) {
        return x == nullptr ? position[i] : __half2float(x[i]) + position[i];
    };
    Moments m{};
    if (a.weight != nullptr)
        m = moments_of(a.dim, a.eps, value);
    for (int i = threadIdx.x % kWarp; i < a.dim; i += kWarp)
        y[i] = __float2half_rn(
            a.weight == nullptr ? value(i) : normalized(value(i), m, a.weight[i], a.bias[i]));
}

using TokenEmbeddingKernel = void (*)(TokenEmbeddingArgs);

// By the packs that a lane keeps; 0 keeps none.
constexpr TokenEmbeddingKernel kTokenEmbeddingKernels[kMaxRowVectors + 1] = {
    embed_values,   embed_packs<1>, embed_packs<2>, embed_packs<3>, embed_packs<4>,
    embed_packs<5>, embed_packs<6>, embed_packs<7>, embed_packs<8>};

DeviceWeights upload_positions(const Context& context, const TokenEmbeddingWeights& weights) {
    const View& position = weights.position;
    return upload(context, position.elements() * sizeof(float), [&](void* staging) {
        auto* y = static_cast<float*>(staging);
        to_fp32(position.data, position.dtype, position.elements(), y);
        std::vector<float> first(weights.class_embedding.elements());
        to_fp32(weights.class_embedding.data, weights.class_embedding.dtype, first.size(),
                first.data());
        for (size_t i = 0; i < first.size(); ++i)
            y[i] += first[i];
    });
}

class CudaTokenEmbedding final : public TokenEmbedding {
public:
    CudaTokenEmbedding(const Context& context, const TokenEmbeddingDesc& desc,
                       const TokenEmbeddingWeights& weights)
        : desc_(desc), batches_("token_embedding", desc.batches), sm_count_(context.sm_count),
          vectors_(row_vectors(desc.dim)), position_(upload_positions(context, weights)) {
        if (weights.norm_weight) {
            norm_weight_ = upload_fp32(context, {weights.norm_weight});
            norm_bias_ = upload_fp32(context, {weights.norm_bias});
        }
        prepare(kTokenEmbeddingKernels[vectors_], 0);
        total_rows("token_embedding", batches_.largest(), desc.patches + 1);
    }

    void operator()(const View& x, const View& y, Scratch, StreamRef stream) override {
        const int batch = leading(x), tokens = desc_.patches + 1;
        batches_.index(batch);
        require_activation("token_embedding", "x", x, DType::f16, batch,
                           {desc_.patches, desc_.dim});
        require_activation("token_embedding", "y", y, DType::f16, batch, {tokens, desc_.dim});
        require_aligned("token_embedding", "x", x, sizeof(uint4));
        require_aligned("token_embedding", "y", y, sizeof(uint4));
        require_apart("token_embedding", "x", x, "y", y);
        const TokenEmbeddingArgs args{.x = x.as<const half>(),
                                      .position = position_.as<float>(),
                                      .weight = norm_weight_.as<float>(),
                                      .bias = norm_bias_.as<float>(),
                                      .y = y.as<half>(),
                                      .rows = batch * tokens,
                                      .tokens = tokens,
                                      .dim = desc_.dim,
                                      .eps = desc_.eps};
        const int warps = rows_per_block(args.rows, sm_count_);
        launch(kTokenEmbeddingKernels[vectors_], dim3((args.rows - 1) / warps + 1),
               dim3(warps * kWarp), 0, stream, args);
    }

    size_t weight_bytes() const override {
        return position_.bytes() + norm_weight_.bytes() + norm_bias_.bytes();
    }
    std::string kernel(int batch) const override {
        batches_.index(batch);
        if (vectors_ == 0)
            return "warp per row, by values";
        return "warp per row, " + std::to_string(vectors_) + " x 16 bytes a lane";
    }

private:
    TokenEmbeddingDesc desc_;
    Batches batches_;
    int sm_count_, vectors_;
    DeviceWeights position_, norm_weight_, norm_bias_;
};

} // namespace

std::unique_ptr<TokenEmbedding> make_token_embedding(const Context& context,
                                                     const TokenEmbeddingDesc& desc,
                                                     const TokenEmbeddingWeights& weights) {
    require_positive("token_embedding", "patches", desc.patches);
    require_positive("token_embedding", "dim", desc.dim);
    require_fp16("token_embedding", "x", desc.x);
    require_fp16("token_embedding", "y", desc.y);
    const size_t dim = desc.dim;
    require_weight("token_embedding", "class_embedding", weights.class_embedding, dim);
    require_weight("token_embedding", "position", weights.position,
                   (desc.patches + size_t{1}) * dim);
    YEOUL_REQUIRE(!weights.norm_weight == !weights.norm_bias,
                  "token_embedding: one of norm_weight and norm_bias is missing; give both or "
                  "neither");
    if (weights.norm_weight) {
        require_weight("token_embedding", "norm_weight", weights.norm_weight, dim);
        require_weight("token_embedding", "norm_bias", weights.norm_bias, dim);
    }
    return std::make_unique<CudaTokenEmbedding>(context, desc, weights);
}

} // namespace yeoul::cuda

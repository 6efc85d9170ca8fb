// Layer norm, a warp for each row. The row stays in registers between its passes, so memory is read
// once and written once: 2 * rows * dim * 2 bytes, all of them 16 at a time. weight and bias, 8 dim
// bytes a row, come from L1 and L2. Designed for 90 % of a T4's copy rate of 240 GB/s from batch 8
// on: 3 KB in flight on an SM cover its memory latency, and a single warp of dim 768 has 1.5.
//
// fp16 enters once, at the final rounding; everything before is fp32.
#include "kernels/checks.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/row_norm.cuh"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/weights.h"

namespace yeoul::cuda {
namespace {

// One warp owns one row, lane l its packs l, l + 32, ...; lanes meet only in the two sums.
template <int V>
__global__ void __launch_bounds__(kMaxRowsPerBlock* kWarp)
    layer_norm_packs(const half* x,       // (rows, dim)
                     const float* weight, // (dim)
                     const float* bias,   // (dim)
                     half* y,             // (rows, dim)
                     int rows, int dim, float eps) {
    const int row = warp_row();
    const int lane = threadIdx.x % kWarp, packs = dim / kPack;
    if (row >= rows)
        return;
    const uint4* in = reinterpret_cast<const uint4*>(x + static_cast<size_t>(row) * dim);
    uint4* out = reinterpret_cast<uint4*>(y + static_cast<size_t>(row) * dim);
    uint4 raw[V] = {};
#pragma unroll
    for (int i = 0; i < V; ++i) // all loads before the first use
        if (lane + i * kWarp < packs)
            raw[i] = in[lane + i * kWarp];
    float values[V][kPack];
#pragma unroll
    for (int i = 0; i < V; ++i)
        unpack(raw[i], values[i]);
    const Moments m = moments(values, packs, eps);
#pragma unroll
    for (int i = 0; i < V; ++i) {
        const int at = lane + i * kWarp;
        if (at < packs) {
            normalize(values[i], at, m, weight, bias);
            out[at] = pack(values[i]);
        }
    }
}

// Any dim: the second and third pass find the row in L1.
__global__ void __launch_bounds__(kMaxRowsPerBlock* kWarp)
    layer_norm_values(const half* x,       // (rows, dim)
                      const float* weight, // (dim)
                      const float* bias,   // (dim)
                      half* y,             // (rows, dim)
                      int rows, int dim, float eps) {
    const int row = warp_row();
    if (row >= rows)
        return;
    x += static_cast<size_t>(row) * dim;
    y += static_cast<size_t>(row) * dim;
    const Moments m = moments_of(dim, eps, [x](int i) { return __half2float(x[i]); });
    for (int i = threadIdx.x % kWarp; i < dim; i += kWarp)
        y[i] = __float2half_rn(normalized(__half2float(x[i]), m, weight[i], bias[i]));
}

using LayerNormKernel = void (*)(const half*, const float*, const float*, half*, int, int, float);

// By the packs that a lane keeps; 0 keeps none.
constexpr LayerNormKernel kLayerNormKernels[kMaxRowVectors + 1] = {
    layer_norm_values,   layer_norm_packs<1>, layer_norm_packs<2>,
    layer_norm_packs<3>, layer_norm_packs<4>, layer_norm_packs<5>,
    layer_norm_packs<6>, layer_norm_packs<7>, layer_norm_packs<8>};

class CudaLayerNorm final : public LayerNorm {
public:
    CudaLayerNorm(const Context& context, const LayerNormDesc& desc, const NormWeights& weights)
        : desc_(desc), batches_("layer_norm", desc.batches), sm_count_(context.sm_count),
          vectors_(row_vectors(desc.dim)), weight_(upload_fp32(context, {weights.weight})),
          bias_(upload_fp32(context, {weights.bias})) {
        prepare(kLayerNormKernels[vectors_], 0);
        total_rows("layer_norm", batches_.largest(), desc.rows);
    }

    void operator()(const View& x, const View& y, Scratch, StreamRef stream) override {
        const int batch = leading(x);
        batches_.index(batch);
        require("x", x, batch);
        require("y", y, batch);
        require_apart("layer_norm", "x", x, "y", y);
        const int rows = batch * desc_.rows;
        const int warps = rows_per_block(rows, sm_count_);
        launch(kLayerNormKernels[vectors_], dim3((rows - 1) / warps + 1), dim3(warps * kWarp), 0,
               stream, x.as<const half>(), weight_.as<float>(), bias_.as<float>(), y.as<half>(),
               rows, desc_.dim, desc_.eps);
    }

    size_t weight_bytes() const override { return weight_.bytes() + bias_.bytes(); }
    std::string kernel(int batch) const override {
        batches_.index(batch);
        if (vectors_ == 0)
            return "warp per row, by values";
        return "warp per row, " + std::to_string(vectors_) + " x 16 bytes a lane";
    }

private:
    void require(const char* what, const View& view, int batch) const {
        if (desc_.rows == 1 && view.rank == 2)
            require_activation("layer_norm", what, view, DType::f16, batch, {desc_.dim});
        else
            require_activation("layer_norm", what, view, DType::f16, batch,
                               {desc_.rows, desc_.dim});
        require_aligned("layer_norm", what, view, sizeof(uint4));
    }

    LayerNormDesc desc_;
    Batches batches_;
    int sm_count_, vectors_;
    DeviceWeights weight_, bias_;
};

} // namespace

std::unique_ptr<LayerNorm> make_layer_norm(const Context& context, const LayerNormDesc& desc,
                                           const NormWeights& weights) {
    require_positive("layer_norm", "rows", desc.rows);
    require_positive("layer_norm", "dim", desc.dim);
    require_fp16("layer_norm", "x", desc.x);
    require_fp16("layer_norm", "y", desc.y);
    require_weight("layer_norm", "weight", weights.weight, desc.dim);
    require_weight("layer_norm", "bias", weights.bias, desc.dim);
    return std::make_unique<CudaLayerNorm>(context, desc, weights);
}

} // namespace yeoul::cuda

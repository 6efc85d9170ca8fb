// Layer norm, a warp for each row: the row stays in registers between its two passes, so memory is
// read once and written once. 2 * rows * dim * 2 bytes.
#include "kernels/checks.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/warp.cuh"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/weights.h"

namespace yeoul::cuda {
namespace {

constexpr int kRows = 8; // rows, and so warps, per block: 256 threads, 4 blocks fill an SM of sm_75

// One warp owns one row; lanes meet only in its sums.
__global__ void __launch_bounds__(kRows* kWarp) layer_norm_kernel(const half* x, // (rows, dim)
                                                                  const float* weight, // (dim)
                                                                  const float* bias,   // (dim)
                                                                  half* y, // (rows, dim)
                                                                  int rows, int dim, float eps) {
    const int row = blockIdx.x * kRows + threadIdx.x / kWarp;
    const int lane = threadIdx.x % kWarp;
    if (row >= rows)
        return;
    x += static_cast<size_t>(row) * dim;
    y += static_cast<size_t>(row) * dim;
    float sum = 0;
    for (int i = lane; i < dim; i += kWarp)
        sum += __half2float(x[i]);
    const float mean = warp_sum(sum) / dim;
    float squares = 0;
    for (int i = lane; i < dim; i += kWarp) {
        const float distance = __half2float(x[i]) - mean;
        squares += distance * distance;
    }
    const float scale = rsqrtf(warp_sum(squares) / dim + eps);
    for (int i = lane; i < dim; i += kWarp)
        y[i] = __float2half_rn((__half2float(x[i]) - mean) * scale * weight[i] + bias[i]);
}

class CudaLayerNorm final : public LayerNorm {
public:
    CudaLayerNorm(const Context& context, const LayerNormDesc& desc, const NormWeights& weights)
        : desc_(desc), batches_("layer_norm", desc.batches),
          weight_(upload_fp32(context, {weights.weight})),
          bias_(upload_fp32(context, {weights.bias})) {
        prepare(layer_norm_kernel, 0);
        total_rows("layer_norm", batches_.largest(), desc.rows);
    }

    void operator()(const View& x, const View& y, Scratch, StreamRef stream) override {
        const int batch = leading(x);
        batches_.index(batch);
        require("x", x, batch);
        require("y", y, batch);
        const int rows = batch * desc_.rows;
        launch(layer_norm_kernel, dim3((rows + kRows - 1) / kRows), dim3(kRows * kWarp), 0, stream,
               x.as<const half>(), weight_.as<float>(), bias_.as<float>(), y.as<half>(), rows,
               desc_.dim, desc_.eps);
    }

    size_t weight_bytes() const override { return weight_.bytes() + bias_.bytes(); }
    std::string kernel(int batch) const override {
        batches_.index(batch);
        return "warp per row";
    }

private:
    void require(const char* what, const View& view, int batch) const {
        if (desc_.rows == 1 && view.rank == 2)
            require_activation("layer_norm", what, view, DType::f16, batch, {desc_.dim});
        else
            require_activation("layer_norm", what, view, DType::f16, batch,
                               {desc_.rows, desc_.dim});
    }

    LayerNormDesc desc_;
    Batches batches_;
    DeviceWeights weight_, bias_;
};

} // namespace

std::unique_ptr<LayerNorm> make_layer_norm(const Context& context, const LayerNormDesc& desc,
                                           const NormWeights& weights) {
    require_positive("layer_norm", "rows", desc.rows);
    require_positive("layer_norm", "dim", desc.dim);
    require_weight("layer_norm", "weight", weights.weight, desc.dim);
    require_weight("layer_norm", "bias", weights.bias, desc.dim);
    return std::make_unique<CudaLayerNorm>(context, desc, weights);
}

} // namespace yeoul::cuda

// Rows of a table by ids, and positions: a warp for each row of y. Memory moves a row of the table
// and a row of y once, 4 * dim bytes a token; positions come from L2 (77 x 512 fp32: 158 KB). At
// batch 32 of ViT-B/32's text side that is 5 MB, 0.02 ms of a T4 at full rate and 0.1 % of the
// tower.
//
// The table is fp16, as all weights of a product are; positions stay fp32, like the sum that they
// enter.
#include "kernels/checks.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/row_norm.cuh"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/weights.h"

namespace yeoul::cuda {
namespace {

struct TextEmbeddingArgs {
    const int* ids;        // (batch, tokens)
    const half* token;     // (vocabulary, dim)
    const float* position; // (tokens, dim)
    half* y;               // (batch, tokens, dim)
    int rows;              // batch * tokens
    int vocabulary, tokens, dim;
};

constexpr int kNotANumber = 0x7fffffff;

// One warp owns one row, lane l its packs l, l + 32, ...; lanes never meet.
__global__ void __launch_bounds__(kMaxRowsPerBlock* kWarp) embed_text_packs(TextEmbeddingArgs a) {
    const int row = warp_row();
    if (row >= a.rows)
        return;
    const int id = a.ids[row];
    const bool known = id >= 0 && id < a.vocabulary;
    const uint4* token =
        reinterpret_cast<const uint4*>(a.token + static_cast<size_t>(known ? id : 0) * a.dim);
    const float* position = a.position + static_cast<size_t>(row % a.tokens) * a.dim;
    uint4* y = reinterpret_cast<uint4*>(a.y + static_cast<size_t>(row) * a.dim);
    for (int at = threadIdx.x % kWarp; at < a.dim / kPack; at += kWarp) {
        float values[kPack], p[kPack];
        unpack(token[at], values);
        load_floats(position + at * kPack, p);
#pragma unroll
        for (int i = 0; i < kPack; ++i)
            values[i] = known ? values[i] + p[i] : __int_as_float(kNotANumber);
        y[at] = pack(values);
    }
}

// Any dim.
__global__ void __launch_bounds__(kMaxRowsPerBlock* kWarp) embed_text_values(TextEmbeddingArgs a) {
    const int row = warp_row();
    if (row >= a.rows)
        return;
    const int id = a.ids[row];
    const bool known = id >= 0 && id < a.vocabulary;
    const half* token = a.token + static_cast<size_t>(known ? id : 0) * a.dim;
    const float* position = a.position + static_cast<size_t>(row % a.tokens) * a.dim;
    half* y = a.y + static_cast<size_t>(row) * a.dim;
    for (int i = threadIdx.x % kWarp; i < a.dim; i += kWarp)
        y[i] = __float2half_rn(known ? __half2float(token[i]) + position[i]
                                     : __int_as_float(kNotANumber));
}

class CudaTextEmbedding final : public TextEmbedding {
public:
    CudaTextEmbedding(const Context& context, const TextEmbeddingDesc& desc,
                      const TextEmbeddingWeights& weights)
        : desc_(desc), batches_("text_embedding", desc.batches), sm_count_(context.sm_count),
          kernel_(desc.dim % kPack == 0 ? embed_text_packs : embed_text_values),
          token_(upload_fp16(context, "the table of the text embedding", {weights.token}, desc.dim,
                             desc.dim)),
          position_(upload_fp32(context, {weights.position})) {
        prepare(kernel_, 0);
        total_rows("text_embedding", batches_.largest(), desc.tokens);
    }

    void operator()(const View& ids, const View& y, StreamRef stream) override {
        const int batch = leading(ids);
        batches_.index(batch);
        require_text_embedding(desc_, batch, ids, y);
        require_aligned("text_embedding", "ids", ids, sizeof(int));
        require_aligned("text_embedding", "y", y, sizeof(uint4));
        const TextEmbeddingArgs args{.ids = ids.as<const int>(),
                                     .token = token_.as<half>(),
                                     .position = position_.as<float>(),
                                     .y = y.as<half>(),
                                     .rows = batch * desc_.tokens,
                                     .vocabulary = desc_.vocabulary,
                                     .tokens = desc_.tokens,
                                     .dim = desc_.dim};
        const int warps = rows_per_block(args.rows, sm_count_);
        launch(kernel_, dim3((args.rows - 1) / warps + 1), dim3(warps * kWarp), 0, stream, args);
    }

    size_t weight_bytes() const override { return token_.bytes() + position_.bytes(); }
    std::string kernel(int batch) const override {
        batches_.index(batch);
        return desc_.dim % kPack == 0 ? "warp per row, by 16 bytes" : "warp per row, by values";
    }

private:
    TextEmbeddingDesc desc_;
    Batches batches_;
    int sm_count_;
    void (*kernel_)(TextEmbeddingArgs);
    DeviceWeights token_, position_;
};

} // namespace

std::unique_ptr<TextEmbedding> make_text_embedding(const Context& context,
                                                   const TextEmbeddingDesc& desc,
                                                   const TextEmbeddingWeights& weights) {
    require_fp16("text_embedding", "y", desc.y);
    require_text_embedding(desc, weights);
    return std::make_unique<CudaTextEmbedding>(context, desc, weights);
}

} // namespace yeoul::cuda

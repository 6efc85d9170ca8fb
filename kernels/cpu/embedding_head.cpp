// The end of a tower: norm of the pooled token (a loop), projection (packed), length (a loop).
#include <cmath>
#include <limits>

#include "kernels/checks.h"
#include "kernels/convert.h"
#include "kernels/cpu/norm_row.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/packed_linear.h"
#include "kernels/cpu/processor.h"
#include "kernels/cpu/threads.h"
#include "kernels/cpu/weights.h"

namespace yeoul::cpu {
namespace {

LinearDesc projection_desc(const EmbeddingHeadDesc& desc) {
    LinearDesc projection;
    projection.in = desc.dim;
    projection.out = desc.out;
    projection.x = desc.compute;
    return projection;
}

template <class X, class Compute>
class CpuEmbeddingHead : public EmbeddingHead {
public:
    CpuEmbeddingHead(const Context& context, const EmbeddingHeadDesc& desc,
                     const EmbeddingHeadWeights& weights)
        : desc_(desc), batches_("embedding_head", desc.batches),
          norm_weight_(stack_fp32(context, {weights.norm.weight})),
          norm_bias_(stack_fp32(context, {weights.norm.bias})),
          projection_("embedding_head", context, projection_desc(desc),
                      {.weight = {weights.projection}, .bias = {}}, batches_.sizes()) {
        ScratchLayout layout;
        row_offset_ = layout.add(sizeof(float) * desc.dim);
        normalized_offset_ = layout.add(sizeof(Compute) * batches_.largest() * desc.dim);
        scratchpad_offset_ = layout.add(projection_.scratch_bytes());
        scratch_bytes_ = layout.bytes();
    }

    void operator()(const View& x, const View& index, const View& y, const View& norm,
                    Scratch scratch, StreamRef stream) override {
        const int batch = leading(x);
        const size_t plan = batches_.index(batch);
        require_embedding_head(desc_, batch, x, index, y, norm);
        require_scratch("embedding_head", scratch, scratch_bytes_);
        auto* const row = static_cast<float*>(offset_bytes(scratch.data, row_offset_));
        auto* const normalized =
            static_cast<Compute*>(offset_bytes(scratch.data, normalized_offset_));
        WorkerStream& queue = worker(stream);
        queue.enqueue(
            [this, batch, in = x.as<const X>(), tokens = index.as<const int32_t>(), row,
             normalized](dnnl_stream*) { normalize_tokens(batch, in, tokens, row, normalized); });
        queue.enqueue(projection_.call(plan, normalized, y.data,
                                       offset_bytes(scratch.data, scratchpad_offset_)));
        queue.enqueue([this, batch, in = y.as<const float>(),
                       out = norm.as<float>()](dnnl_stream*) { lengths(batch, in, out); });
    }

    size_t scratch_bytes() const override { return scratch_bytes_; }
    size_t weight_bytes() const override {
        return norm_weight_.bytes() + norm_bias_.bytes() + projection_.weight_bytes();
    }
    std::string kernel(int batch) const override {
        return "loop + " + projection_.kernel(batches_.index(batch));
    }

private:
    // x (batch, tokens, dim), index (batch) or null, row (dim), y (batch, dim)
    void normalize_tokens(int batch, const X* x, const int32_t* index, float* row,
                          Compute* y) const {
        for (int b = 0; b < batch; ++b) {
            const int token = index == nullptr ? 0 : index[b];
            const bool inside = token >= 0 && token < desc_.tokens;
            const X* in = x + (inside ? static_cast<size_t>(token) * desc_.dim : 0);
            for (int i = 0; i < desc_.dim; ++i)
                row[i] = inside ? load(in + i) : std::numeric_limits<float>::quiet_NaN();
            normalize_row(row, norm_weight_.floats(), norm_bias_.floats(), desc_.dim, desc_.eps);
            for (int i = 0; i < desc_.dim; ++i)
                store(row[i], y + i);
            x += static_cast<size_t>(desc_.tokens) * desc_.dim;
            y += desc_.dim;
        }
    }

    // x (batch, out), y (batch)
    void lengths(int batch, const float* x, float* y) const {
        for (int b = 0; b < batch; ++b) {
            double squares = 0;
            for (int i = 0; i < desc_.out; ++i)
                squares += static_cast<double>(x[i]) * x[i];
            y[b] = static_cast<float>(std::sqrt(squares));
            x += desc_.out;
        }
    }

    EmbeddingHeadDesc desc_;
    Batches batches_;
    Weights norm_weight_, norm_bias_;
    PackedLinear projection_;
    size_t row_offset_ = 0, normalized_offset_ = 0, scratchpad_offset_ = 0, scratch_bytes_ = 0;
};

} // namespace

std::unique_ptr<EmbeddingHead> make_embedding_head(const Context& context,
                                                   const EmbeddingHeadDesc& desc,
                                                   const EmbeddingHeadWeights& weights) {
    require_positive("embedding_head", "tokens", desc.tokens);
    require_positive("embedding_head", "dim", desc.dim);
    require_positive("embedding_head", "out", desc.out);
    require_computable("embedding_head", "x", desc.x);
    require_computable("embedding_head", "compute", desc.compute);
    require_weight("embedding_head", "norm weight", weights.norm.weight, desc.dim);
    require_weight("embedding_head", "norm bias", weights.norm.bias, desc.dim);
    std::unique_ptr<EmbeddingHead> made;
    run_with_math_threads(context.onednn.threads, [&] {
        const bool narrow_x = desc.x == DType::bf16, narrow = desc.compute == DType::bf16;
        if (narrow_x && narrow)
            made = std::make_unique<CpuEmbeddingHead<Bf16, Bf16>>(context, desc, weights);
        else if (narrow_x)
            made = std::make_unique<CpuEmbeddingHead<Bf16, float>>(context, desc, weights);
        else if (narrow)
            made = std::make_unique<CpuEmbeddingHead<float, Bf16>>(context, desc, weights);
        else
            made = std::make_unique<CpuEmbeddingHead<float, float>>(context, desc, weights);
    });
    return made;
}

} // namespace yeoul::cpu

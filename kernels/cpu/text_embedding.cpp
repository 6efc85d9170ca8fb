// Rows of a table by ids, and positions: a plain loop.
#include <limits>

#include "kernels/checks.h"
#include "kernels/convert.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/processor.h"
#include "kernels/cpu/weights.h"

namespace yeoul::cpu {
namespace {

template <class Y>
class CpuTextEmbedding final : public TextEmbedding {
public:
    CpuTextEmbedding(const Context& context, const TextEmbeddingDesc& desc,
                     const TextEmbeddingWeights& weights)
        : desc_(desc), batches_("text_embedding", desc.batches),
          token_(stack_fp32(context, {weights.token})),
          position_(stack_fp32(context, {weights.position})) {}

    void operator()(const View& ids, const View& y, StreamRef stream) override {
        const int batch = leading(ids);
        batches_.index(batch);
        require_text_embedding(desc_, batch, ids, y);
        worker(stream).enqueue([this, batch, in = ids.as<const int32_t>(),
                                out = y.as<Y>()](dnnl_stream*) { embed(batch, in, out); });
    }

    size_t weight_bytes() const override { return token_.bytes() + position_.bytes(); }
    std::string kernel(int batch) const override {
        batches_.index(batch);
        return "loop";
    }

private:
    // ids (batch, tokens), y (batch, tokens, dim)
    void embed(int batch, const int32_t* ids, Y* y) const {
        const size_t dim = desc_.dim;
        for (int b = 0; b < batch; ++b)
            for (int t = 0; t < desc_.tokens; ++t, y += dim) {
                const int32_t id = *ids++;
                const bool known = id >= 0 && id < desc_.vocabulary;
                const float* token = token_.floats() + (known ? id * dim : 0);
                const float* position = position_.floats() + t * dim;
                for (size_t i = 0; i < dim; ++i)
                    store(known ? token[i] + position[i] : std::numeric_limits<float>::quiet_NaN(),
                          y + i);
            }
    }

    TextEmbeddingDesc desc_;
    Batches batches_;
    Weights token_, position_; // (vocabulary, dim), (tokens, dim)
};

} // namespace

std::unique_ptr<TextEmbedding> make_text_embedding(const Context& context,
                                                   const TextEmbeddingDesc& desc,
                                                   const TextEmbeddingWeights& weights) {
    require_text_embedding(desc, weights);
    require_computable("text_embedding", "y", desc.y);
    if (desc.y == DType::bf16)
        return std::make_unique<CpuTextEmbedding<Bf16>>(context, desc, weights);
    return std::make_unique<CpuTextEmbedding<float>>(context, desc, weights);
}

} // namespace yeoul::cpu

// Class token, position and the first norm in one pass over the rows: a plain loop.
#include "kernels/checks.h"
#include "kernels/convert.h"
#include "kernels/cpu/norm_row.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/processor.h"
#include "kernels/cpu/weights.h"

namespace yeoul::cpu {
namespace {

template <class X, class Y>
class CpuTokenEmbedding : public TokenEmbedding {
public:
    CpuTokenEmbedding(const Context& context, const TokenEmbeddingDesc& desc,
                      const TokenEmbeddingWeights& weights)
        : desc_(desc), batches_("token_embedding", desc.batches),
          position_(stack_fp32(context, {weights.position})) {
        if (weights.norm_weight) {
            norm_weight_ = stack_fp32(context, {weights.norm_weight});
            norm_bias_ = stack_fp32(context, {weights.norm_bias});
        }
        if (context.memory.properties().dry)
            return;
        std::vector<float> class_embedding(desc.dim);
        stack_fp32({weights.class_embedding}, class_embedding.data());
        for (int i = 0; i < desc.dim; ++i) // the first token is the same for every photo
            position_.floats()[i] += class_embedding[i];
    }

    void operator()(const View& x, const View& y, Scratch scratch, StreamRef stream) override {
        const int batch = leading(x);
        batches_.index(batch);
        require_activation("token_embedding", "x", x, desc_.x, batch, {desc_.patches, desc_.dim});
        require_activation("token_embedding", "y", y, desc_.y, batch,
                           {desc_.patches + 1, desc_.dim});
        require_scratch("token_embedding", scratch, scratch_bytes());
        worker(stream).enqueue([this, batch, in = x.as<const X>(), out = y.as<Y>(),
                                row = static_cast<float*>(scratch.data)](dnnl_stream*) {
            for (int i = 0; i < batch; ++i)
                embed(in + static_cast<size_t>(i) * desc_.patches * desc_.dim, row,
                      out + static_cast<size_t>(i) * (desc_.patches + 1) * desc_.dim);
        });
    }

    size_t scratch_bytes() const override { return sizeof(float) * desc_.dim; }
    size_t weight_bytes() const override {
        return position_.bytes() + norm_weight_.bytes() + norm_bias_.bytes();
    }
    std::string kernel(int batch) const override {
        batches_.index(batch);
        return "loop";
    }

private:
    // One photo: x (patches, dim), row (dim), y (patches + 1, dim).
    void embed(const X* x, float* row, Y* y) const {
        const float* position = position_.floats();
        for (int token = 0; token <= desc_.patches; ++token) {
            if (token == 0) {
                std::memcpy(row, position, sizeof(float) * desc_.dim);
            } else {
                for (int i = 0; i < desc_.dim; ++i)
                    row[i] = load(x + i) + position[i];
                x += desc_.dim;
            }
            if (norm_weight_.data() != nullptr)
                normalize_row(row, norm_weight_.floats(), norm_bias_.floats(), desc_.dim,
                              desc_.eps);
            for (int i = 0; i < desc_.dim; ++i)
                store(row[i], y + i);
            position += desc_.dim;
            y += desc_.dim;
        }
    }

    TokenEmbeddingDesc desc_;
    Batches batches_;
    Weights position_; // (patches + 1, dim), the class embedding added to the first row
    Weights norm_weight_, norm_bias_;
};

template <class X>
std::unique_ptr<TokenEmbedding> make(const Context& context, const TokenEmbeddingDesc& desc,
                                     const TokenEmbeddingWeights& weights) {
    if (desc.y == DType::bf16)
        return std::make_unique<CpuTokenEmbedding<X, Bf16>>(context, desc, weights);
    return std::make_unique<CpuTokenEmbedding<X, float>>(context, desc, weights);
}

} // namespace

std::unique_ptr<TokenEmbedding> make_token_embedding(const Context& context,
                                                     const TokenEmbeddingDesc& desc,
                                                     const TokenEmbeddingWeights& weights) {
    require_positive("token_embedding", "patches", desc.patches);
    require_positive("token_embedding", "dim", desc.dim);
    require_computable("token_embedding", "x", desc.x);
    require_computable("token_embedding", "y", desc.y);
    const size_t dim = desc.dim;
    require_weight("token_embedding", "class_embedding", weights.class_embedding, dim);
    require_weight("token_embedding", "position", weights.position, (desc.patches + 1) * dim);
    YEOUL_REQUIRE(!weights.norm_weight == !weights.norm_bias,
                  "token_embedding: one of norm_weight and norm_bias is missing; give both or "
                  "neither");
    if (weights.norm_weight) {
        require_weight("token_embedding", "norm_weight", weights.norm_weight, dim);
        require_weight("token_embedding", "norm_bias", weights.norm_bias, dim);
    }
    return desc.x == DType::bf16 ? make<Bf16>(context, desc, weights)
                                 : make<float>(context, desc, weights);
}

} // namespace yeoul::cpu

// A backend that makes one mistake, to show that the tests would notice.
#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include "kernels/cuda/weights.h"
#include "kernels/forwarding_device.h"
#include "tests/engine/golden.h"

namespace yeoul::test {

/// Passes everything through to another backend, but for what is altered. Eager only, and only
/// where the host can read device memory: the CPU and the emulated GPU.
class AlteredBackend final : public ForwardingBackend {
public:
    explicit AlteredBackend(Backend& inner) : ForwardingBackend(inner) {}

    std::function<void(AttentionDesc&)> alter_attention;
    bool drop_last_key = false;
    bool drop_position = false;
    /// Added to channel 1 of every token, where the residual stream begins; needs a pre-norm.
    float outlier = 0;

    std::unique_ptr<Attention> attention(const AttentionDesc& desc) override {
        AttentionDesc altered = desc;
        if (alter_attention)
            alter_attention(altered);
        if (drop_last_key)
            return std::make_unique<ShortAttention>(backend(), altered);
        return backend().attention(altered);
    }
    std::unique_ptr<TokenEmbedding> token_embedding(const TokenEmbeddingDesc& desc,
                                                    const TokenEmbeddingWeights& w) override {
        std::vector<float> zeros(w.position.elements());
        TokenEmbeddingWeights altered = w;
        if (drop_position)
            altered.position = View(zeros.data(), DType::f32, {desc.patches + 1, desc.dim});
        std::vector<float> bias;
        if (outlier != 0) {
            bias = to_floats(w.norm_bias);
            bias.at(1) += outlier;
            altered.norm_bias = View(bias.data(), DType::f32, {desc.dim});
        }
        return backend().token_embedding(desc, altered);
    }

    std::unique_ptr<TextEmbedding> text_embedding(const TextEmbeddingDesc& desc,
                                                  const TextEmbeddingWeights& w) override {
        std::vector<float> zeros(w.position.elements());
        TextEmbeddingWeights altered = w;
        if (drop_position)
            altered.position = View(zeros.data(), DType::f32, {desc.tokens, desc.dim});
        return backend().text_embedding(desc, altered);
    }

private:
    /// Attention by its formula that forgets the last key.
    class ShortAttention final : public Attention {
    public:
        ShortAttention(Backend& device, const AttentionDesc& desc) : device_(device), desc_(desc) {}
        std::string kernel(int) const override { return "reference without the last key"; }
        void operator()(const View& qkv, const View& y, Scratch, StreamRef stream) override {
            device_.synchronize(stream);
            const size_t tokens = desc_.tokens, heads = desc_.heads, head_dim = desc_.head_dim;
            const size_t dim = heads * head_dim;
            const std::vector<float> x = to_floats(qkv);
            for (size_t b = 0; b < static_cast<size_t>(qkv.shape[0]); ++b)
                for (size_t h = 0; h < heads; ++h)
                    for (size_t i = 0; i < tokens; ++i) {
                        const auto part = [&](size_t token, size_t which) {
                            return x.data() + (b * tokens + token) * 3 * dim + which * dim +
                                   h * head_dim;
                        };
                        std::vector<double> p(tokens - 1), sum(head_dim);
                        double total = 0;
                        for (size_t j = 0; j + 1 < tokens; ++j) {
                            double dot = 0;
                            for (size_t d = 0; d < head_dim; ++d)
                                dot += double{part(i, 0)[d]} * part(j, 1)[d];
                            total += p[j] = std::exp(desc_.scale * dot);
                        }
                        for (size_t j = 0; j + 1 < tokens; ++j)
                            for (size_t d = 0; d < head_dim; ++d)
                                sum[d] += p[j] / total * part(j, 2)[d];
                        const size_t row = (b * tokens + i) * dim + h * head_dim;
                        for (size_t d = 0; d < head_dim; ++d)
                            if (y.dtype == DType::f16)
                                y.as<uint16_t>()[row + d] =
                                    cuda::to_fp16(static_cast<float>(sum[d]));
                            else
                                y.as<float>()[row + d] = static_cast<float>(sum[d]);
                    }
        }

    private:
        Device& device_;
        AttentionDesc desc_;
    };
};

} // namespace yeoul::test

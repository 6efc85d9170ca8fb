// A backend that makes one mistake, to show that the tests would notice.
#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include "kernels/cuda/weights.h"
#include "kernels/ops.h"
#include "tests/engine/golden.h"

namespace yeoul::test {

/// Passes everything through to another backend, but for what is altered. Eager only, and only
/// where the host can read device memory: the CPU and the emulated GPU.
class AlteredBackend final : public Backend {
public:
    explicit AlteredBackend(Backend& inner) : inner_(inner) {}

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
            return std::make_unique<ShortAttention>(inner_, altered);
        return inner_.attention(altered);
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
        return inner_.token_embedding(desc, altered);
    }

    Numerics numerics(std::string_view precision) const override {
        return inner_.numerics(precision);
    }
    void place_weights(Device& memory) override { inner_.place_weights(memory); }
    std::string tune_gemms(double seconds) override { return inner_.tune_gemms(seconds); }
    std::unique_ptr<Resize> resize(const ResizeDesc& desc) override { return inner_.resize(desc); }
    std::unique_ptr<Patches> patches(const PatchesDesc& desc) override {
        return inner_.patches(desc);
    }
    std::unique_ptr<Linear> linear(const LinearDesc& desc, const LinearWeights& w) override {
        return inner_.linear(desc, w);
    }
    std::unique_ptr<TextEmbedding> text_embedding(const TextEmbeddingDesc& desc,
                                                  const TextEmbeddingWeights& w) override {
        std::vector<float> zeros(w.position.elements());
        TextEmbeddingWeights altered = w;
        if (drop_position)
            altered.position = View(zeros.data(), DType::f32, {desc.tokens, desc.dim});
        return inner_.text_embedding(desc, altered);
    }
    std::unique_ptr<LayerNorm> layer_norm(const LayerNormDesc& desc,
                                          const NormWeights& w) override {
        return inner_.layer_norm(desc, w);
    }
    std::unique_ptr<EmbeddingHead> embedding_head(const EmbeddingHeadDesc& desc,
                                                  const EmbeddingHeadWeights& w) override {
        return inner_.embedding_head(desc, w);
    }
    std::unique_ptr<Similarity> similarity(const SimilarityDesc& desc) override {
        return inner_.similarity(desc);
    }
    std::unique_ptr<TopK> top_k(const TopKDesc& desc) override { return inner_.top_k(desc); }

    const DeviceProperties& properties() const override { return inner_.properties(); }
    void* allocate(size_t bytes) override { return inner_.allocate(bytes); }
    void release(void* data) noexcept override { inner_.release(data); }
    void* allocate_pinned(size_t bytes) override { return inner_.allocate_pinned(bytes); }
    void release_pinned(void* data) noexcept override { inner_.release_pinned(data); }
    StreamRef create_stream() override { return inner_.create_stream(); }
    void destroy_stream(StreamRef stream) noexcept override { inner_.destroy_stream(stream); }
    void synchronize(StreamRef stream) override { inner_.synchronize(stream); }
    EventRef create_event() override { return inner_.create_event(); }
    void destroy_event(EventRef event) noexcept override { inner_.destroy_event(event); }
    void record(EventRef event, StreamRef stream) override { inner_.record(event, stream); }
    void wait(EventRef event, StreamRef stream) override { inner_.wait(event, stream); }
    void synchronize(EventRef event) override { inner_.synchronize(event); }
    bool complete(EventRef event) override { return inner_.complete(event); }
    float elapsed_ms(EventRef start, EventRef stop) override {
        return inner_.elapsed_ms(start, stop);
    }
    void copy(void* y, const void* x, size_t bytes, CopyKind kind, StreamRef stream) override {
        inner_.copy(y, x, bytes, kind, stream);
    }
    void zero(void* y, size_t bytes, StreamRef stream) override { inner_.zero(y, bytes, stream); }
    void begin_capture(StreamRef stream) override { inner_.begin_capture(stream); }
    std::unique_ptr<Graph> end_capture(StreamRef stream) override {
        return inner_.end_capture(stream);
    }
    void abandon_capture(StreamRef stream) noexcept override { inner_.abandon_capture(stream); }
    void launch(Graph& graph, StreamRef stream) override { inner_.launch(graph, stream); }

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

    Backend& inner_;
};

} // namespace yeoul::test

// Devices and backends that are another one but for what they change.
#pragma once

#include "kernels/ops.h"

namespace yeoul {

/// Passes every call of `Device` on to `inner`, which outlives it. `Interface` is `Device` or what
/// derives from it.
template <class Interface = Device>
class ForwardingDevice : public Interface {
public:
    explicit ForwardingDevice(Device& inner) : device_(inner) {}

    const DeviceProperties& properties() const override { return device_.properties(); }
    size_t free_bytes() const override { return device_.free_bytes(); }
    void* allocate(size_t bytes) override { return device_.allocate(bytes); }
    void release(void* data) noexcept override { device_.release(data); }
    void* allocate_pinned(size_t bytes) override { return device_.allocate_pinned(bytes); }
    void release_pinned(void* data) noexcept override { device_.release_pinned(data); }

    StreamRef create_stream() override { return device_.create_stream(); }
    void destroy_stream(StreamRef stream) noexcept override { device_.destroy_stream(stream); }
    void synchronize(StreamRef stream) override { device_.synchronize(stream); }
    EventRef create_event() override { return device_.create_event(); }
    void destroy_event(EventRef event) noexcept override { device_.destroy_event(event); }
    void record(EventRef event, StreamRef stream) override { device_.record(event, stream); }
    void wait(EventRef event, StreamRef stream) override { device_.wait(event, stream); }
    void synchronize(EventRef event) override { device_.synchronize(event); }
    bool complete(EventRef event) override { return device_.complete(event); }
    float elapsed_ms(EventRef start, EventRef stop) override {
        return device_.elapsed_ms(start, stop);
    }

    void copy(void* y, const void* x, size_t bytes, CopyKind kind, StreamRef stream) override {
        device_.copy(y, x, bytes, kind, stream);
    }
    void zero(void* y, size_t bytes, StreamRef stream) override { device_.zero(y, bytes, stream); }
    void begin_capture(StreamRef stream) override { device_.begin_capture(stream); }
    std::unique_ptr<Graph> end_capture(StreamRef stream) override {
        return device_.end_capture(stream);
    }
    void abandon_capture(StreamRef stream) noexcept override { device_.abandon_capture(stream); }
    void launch(Graph& graph, StreamRef stream) override { device_.launch(graph, stream); }

protected:
    Device& device() const { return device_; }

private:
    Device& device_;
};

/// Makes the ops of `inner`, which outlives it.
class ForwardingBackend : public ForwardingDevice<Backend> {
public:
    explicit ForwardingBackend(Backend& inner) : ForwardingDevice(inner), backend_(inner) {}

    Numerics numerics(std::string_view precision) const override {
        return backend_.numerics(precision);
    }
    std::string tune_gemms(double seconds) override { return backend_.tune_gemms(seconds); }
    void place_weights(Device& memory) override { backend_.place_weights(memory); }

    std::unique_ptr<Resize> resize(const ResizeDesc& desc) override {
        return backend_.resize(desc);
    }
    std::unique_ptr<Patches> patches(const PatchesDesc& desc) override {
        return backend_.patches(desc);
    }
    std::unique_ptr<Linear> linear(const LinearDesc& desc, const LinearWeights& w) override {
        return backend_.linear(desc, w);
    }
    std::unique_ptr<TokenEmbedding> token_embedding(const TokenEmbeddingDesc& desc,
                                                    const TokenEmbeddingWeights& w) override {
        return backend_.token_embedding(desc, w);
    }
    std::unique_ptr<TextEmbedding> text_embedding(const TextEmbeddingDesc& desc,
                                                  const TextEmbeddingWeights& w) override {
        return backend_.text_embedding(desc, w);
    }
    std::unique_ptr<LayerNorm> layer_norm(const LayerNormDesc& desc,
                                          const NormWeights& w) override {
        return backend_.layer_norm(desc, w);
    }
    std::unique_ptr<Attention> attention(const AttentionDesc& desc) override {
        return backend_.attention(desc);
    }
    std::unique_ptr<EmbeddingHead> embedding_head(const EmbeddingHeadDesc& desc,
                                                  const EmbeddingHeadWeights& w) override {
        return backend_.embedding_head(desc, w);
    }
    std::unique_ptr<Similarity> similarity(const SimilarityDesc& desc) override {
        return backend_.similarity(desc);
    }
    std::unique_ptr<TopK> top_k(const TopKDesc& desc) override { return backend_.top_k(desc); }

protected:
    Backend& backend() const { return backend_; }

private:
    Backend& backend_;
};

} // namespace yeoul

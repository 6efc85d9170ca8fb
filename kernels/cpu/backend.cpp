// The CPU backend: memory, worker threads as streams, recorded graphs, ops on oneDNN.
#include <cstring>

#include "kernels/cpu/event.h"
#include "kernels/cpu/free_memory.h"
#include "kernels/cpu/graph.h"
#include "kernels/cpu/memory.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/processor.h"
#include "kernels/cpu/stream.h"
#include "kernels/cpu/threads.h"

namespace yeoul {
namespace cpu {
namespace {

class CpuBackend : public Backend {
public:
    explicit CpuBackend(int threads)
        : onednn_{YEOUL_ONEDNN(dnnl::engine(dnnl::engine::kind::cpu, 0)), threads} {
        properties_.kind = "cpu";
        properties_.name = processor_name();
        properties_.isa = isa_name();
        properties_.compute_units = threads;
        properties_.total_bytes = total_memory_bytes();
        properties_.host_memory = true;
    }

    const DeviceProperties& properties() const override { return properties_; }
    size_t free_bytes() const override { return free_memory_bytes(); }

    void* allocate(size_t bytes) override { return cpu::allocate(bytes); }
    void release(void* data) noexcept override { cpu::release(data); }
    void* allocate_pinned(size_t bytes) override { return cpu::allocate(bytes); }
    void release_pinned(void* data) noexcept override { cpu::release(data); }

    StreamRef create_stream() override {
        auto math = std::make_shared<dnnl::stream>(YEOUL_ONEDNN(dnnl::stream(onednn_.engine)));
        std::shared_ptr<dnnl_stream> handle(math, math->get());
        return StreamRef(new WorkerStream(onednn_.threads, std::move(handle)));
    }
    void destroy_stream(StreamRef stream) noexcept override { delete &worker(stream); }
    void synchronize(StreamRef stream) override { worker(stream).synchronize(); }

    EventRef create_event() override { return EventRef(new HostEvent); }
    void destroy_event(EventRef event) noexcept override { delete &host_event(event); }
    void record(EventRef event, StreamRef stream) override {
        host_event(event).record(worker(stream));
    }
    void wait(EventRef event, StreamRef stream) override { host_event(event).wait(worker(stream)); }
    void synchronize(EventRef event) override { host_event(event).synchronize(); }
    bool complete(EventRef event) override { return host_event(event).complete(); }
    float elapsed_ms(EventRef start, EventRef stop) override {
        const auto first = host_event(start).completed_mark("elapsed_ms");
        const auto last = host_event(stop).completed_mark("elapsed_ms");
        return std::chrono::duration<float, std::milli>(last->time() - first->time()).count();
    }

    void copy(void* y, const void* x, size_t bytes, CopyKind, StreamRef stream) override {
        if (bytes == 0)
            return;
        YEOUL_REQUIRE(y != nullptr && x != nullptr, "copy: " << bytes << " bytes, and no memory");
        worker(stream).enqueue([y, x, bytes](dnnl_stream*) { std::memcpy(y, x, bytes); });
    }
    void zero(void* y, size_t bytes, StreamRef stream) override {
        if (bytes == 0)
            return;
        YEOUL_REQUIRE(y != nullptr, "zero: " << bytes << " bytes, and no memory");
        worker(stream).enqueue([y, bytes](dnnl_stream*) { std::memset(y, 0, bytes); });
    }

    void begin_capture(StreamRef stream) override { worker(stream).begin_capture(); }
    std::unique_ptr<Graph> end_capture(StreamRef stream) override {
        return std::make_unique<RecordedGraph>(worker(stream).end_capture());
    }
    void abandon_capture(StreamRef stream) noexcept override { worker(stream).abandon_capture(); }
    void launch(Graph& graph, StreamRef stream) override {
        YEOUL_REQUIRE(!worker(stream).recording(),
                      "launch: the stream is capturing; a graph cannot hold another");
        static_cast<RecordedGraph&>(graph).launch(worker(stream));
    }

    Numerics numerics(std::string_view precision) const override {
        if (precision == "auto" || precision == "fp32")
            return {DType::f32, DType::f32};
        if (precision == "bf16") {
            if (has_bf16())
                return {DType::bf16, DType::f32};
            throw Error(ErrorCode::device, "precision bf16 needs a processor with avx512_core_bf16;"
                                           " this one has " +
                                               isa_name() + ": take fp32");
        }
        if (precision == "fp16")
            throw Error(ErrorCode::device,
                        "precision fp16 is not computed by the CPU backend: take fp32 or bf16");
        throw Error(ErrorCode::device, "precision '" + std::string(precision) +
                                           "' is not known: take auto, fp32 or bf16");
    }

    std::string tune_gemms(double) override { return {}; }
    void place_weights(Device& memory) override { weights_ = &memory; }

    std::unique_ptr<Resize> resize(const ResizeDesc&) override {
        return nullptr; // loader/resize.h does it before pixels come here
    }
    std::unique_ptr<Patches> patches(const PatchesDesc& desc) override {
        return make_patches(desc);
    }
    std::unique_ptr<Linear> linear(const LinearDesc& desc, const LinearWeights& w) override {
        return make_linear(context(), desc, w);
    }
    std::unique_ptr<TokenEmbedding> token_embedding(const TokenEmbeddingDesc& desc,
                                                    const TokenEmbeddingWeights& w) override {
        return make_token_embedding(context(), desc, w);
    }
    std::unique_ptr<TextEmbedding> text_embedding(const TextEmbeddingDesc& desc,
                                                  const TextEmbeddingWeights& w) override {
        return make_text_embedding(context(), desc, w);
    }
    std::unique_ptr<LayerNorm> layer_norm(const LayerNormDesc& desc,
                                          const NormWeights& w) override {
        return make_layer_norm(context(), desc, w);
    }
    std::unique_ptr<Attention> attention(const AttentionDesc& desc) override {
        return make_attention(context(), desc);
    }
    std::unique_ptr<EmbeddingHead> embedding_head(const EmbeddingHeadDesc& desc,
                                                  const EmbeddingHeadWeights& w) override {
        return make_embedding_head(context(), desc, w);
    }
    std::unique_ptr<Similarity> similarity(const SimilarityDesc& desc) override {
        return make_similarity(desc);
    }
    std::unique_ptr<TopK> top_k(const TopKDesc& desc) override { return make_top_k(desc); }

private:
    Context context() const { return {.onednn = onednn_, .memory = *weights_}; }

    Onednn onednn_;
    Device* weights_ = this; // what weights are allocated from
    DeviceProperties properties_;
};

} // namespace
} // namespace cpu

std::unique_ptr<Backend> make_cpu_backend(int threads) {
    YEOUL_REQUIRE(threads >= 0, "threads is " << threads << ", must be 0 or more");
    return std::make_unique<cpu::CpuBackend>(threads > 0 ? threads : usable_cores());
}

} // namespace yeoul

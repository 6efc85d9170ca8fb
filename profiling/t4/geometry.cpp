// t4_geometry: the kernel launches of a forward pass on a T4, without running one.
//
//     t4_geometry MODEL BATCH,BATCH,...      MODEL: clip-vit-base-patch32, -patch16,
//     clip-vit-large-patch14
//
// The engine's own model with zero weights of the real shapes, on the CUDA backend's own launchers,
// which the emulator notes and does not run. A line of JSON for each op and batch: what it was
// planned as, how often the pass calls it, and its launches.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

#include "engine/models/clip.h"
#include "kernels/cuda/backend.h"
#include "kernels/forwarding_device.h"
#include "simt/config.h"

namespace yeoul {
namespace {

/// The launches of one op, one text for each; and how often the pass made these.
struct Entry {
    std::string about, launches;
    int count = 0;
};

std::string json(const std::string& text) {
    std::string quoted = "\"";
    for (char letter : text) {
        if (letter == '"' || letter == '\\')
            quoted += '\\';
        quoted += letter;
    }
    return quoted + '"';
}

std::string extents(const std::array<unsigned, 3>& values) {
    std::ostringstream text;
    text << "[" << values[0] << ", " << values[1] << ", " << values[2] << "]";
    return text.str();
}

/// Passes everything to the CUDA backend and notes which op each launch belongs to.
class Noting final : public ForwardingBackend {
public:
    explicit Noting(Backend& inner) : ForwardingBackend(inner) {}

    /// The ops in the order of their first call.
    std::vector<Entry> take() {
        std::vector<Entry> entries = std::move(entries_);
        entries_.clear();
        return entries;
    }

    std::unique_ptr<Patches> patches(const PatchesDesc& d) override {
        std::ostringstream about;
        about << "\"op\": \"patches\", \"height\": " << d.height << ", \"width\": " << d.width
              << ", \"patch\": " << d.patch;
        struct Noted final : Patches {
            std::unique_ptr<Patches> op;
            Noting* to = nullptr;
            std::string about;
            std::string kernel(int batch) const override { return op->kernel(batch); }
            size_t scratch_bytes() const override { return op->scratch_bytes(); }
            size_t weight_bytes() const override { return op->weight_bytes(); }
            void operator()(const View& slots, const View& index, const View& y,
                            StreamRef stream) override {
                to->note(about, kernel(y.shape[0]), stream,
                         [&] { (*op)(slots, index, y, stream); });
            }
        };
        auto noted = std::make_unique<Noted>();
        noted->op = backend().patches(d);
        noted->to = this;
        noted->about = about.str();
        return noted;
    }
    std::unique_ptr<Linear> linear(const LinearDesc& d, const LinearWeights& w) override {
        std::ostringstream about;
        about << "\"op\": \"linear\", \"rows\": " << d.rows << ", \"in\": " << d.in
              << ", \"out\": " << d.out << ", \"accumulate\": " << (d.accumulate ? "true" : "false")
              << ", \"activation\": " << (d.activation == Activation::none ? "false" : "true");
        return noted(backend().linear(d, w), about.str());
    }
    std::unique_ptr<TokenEmbedding> token_embedding(const TokenEmbeddingDesc& d,
                                                    const TokenEmbeddingWeights& w) override {
        std::ostringstream about;
        about << "\"op\": \"token_embedding\", \"patches\": " << d.patches
              << ", \"dim\": " << d.dim;
        return noted(backend().token_embedding(d, w), about.str());
    }
    std::unique_ptr<TextEmbedding> text_embedding(const TextEmbeddingDesc& d,
                                                  const TextEmbeddingWeights& w) override {
        return backend().text_embedding(d, w);
    }
    std::unique_ptr<LayerNorm> layer_norm(const LayerNormDesc& d, const NormWeights& w) override {
        std::ostringstream about;
        about << "\"op\": \"layer_norm\", \"rows\": " << d.rows << ", \"dim\": " << d.dim;
        return noted(backend().layer_norm(d, w), about.str());
    }
    std::unique_ptr<Attention> attention(const AttentionDesc& d) override {
        std::ostringstream about;
        about << "\"op\": \"attention\", \"tokens\": " << d.tokens << ", \"heads\": " << d.heads
              << ", \"head_dim\": " << d.head_dim;
        return noted(backend().attention(d), about.str());
    }
    std::unique_ptr<EmbeddingHead> embedding_head(const EmbeddingHeadDesc& d,
                                                  const EmbeddingHeadWeights& w) override {
        std::ostringstream about;
        about << "\"op\": \"embedding_head\", \"dim\": " << d.dim << ", \"out\": " << d.out;
        struct Noted final : EmbeddingHead {
            std::unique_ptr<EmbeddingHead> op;
            Noting* to = nullptr;
            std::string about;
            std::string kernel(int batch) const override { return op->kernel(batch); }
            size_t scratch_bytes() const override { return op->scratch_bytes(); }
            size_t weight_bytes() const override { return op->weight_bytes(); }
            void operator()(const View& x, const View& index, const View& y, const View& norm,
                            Scratch scratch, StreamRef stream) override {
                to->note(about, kernel(x.shape[0]), stream,
                         [&] { (*op)(x, index, y, norm, scratch, stream); });
            }
        };
        auto head = std::make_unique<Noted>();
        head->op = backend().embedding_head(d, w);
        head->to = this;
        head->about = about.str();
        return head;
    }

private:
    /// For the ops called as (x, y, scratch, stream).
    template <class Kind>
    std::unique_ptr<Kind> noted(std::unique_ptr<Kind> op, std::string about) {
        struct Noted final : Kind {
            std::unique_ptr<Kind> op;
            Noting* to = nullptr;
            std::string about;
            std::string kernel(int batch) const override { return op->kernel(batch); }
            size_t scratch_bytes() const override { return op->scratch_bytes(); }
            size_t weight_bytes() const override { return op->weight_bytes(); }
            void operator()(const View& x, const View& y, Scratch scratch,
                            StreamRef stream) override {
                to->note(about, kernel(x.shape[0]), stream, [&] { (*op)(x, y, scratch, stream); });
            }
        };
        auto noted = std::make_unique<Noted>();
        noted->op = std::move(op);
        noted->to = this;
        noted->about = std::move(about);
        return noted;
    }

    template <class Call>
    void note(const std::string& about, const std::string& plan, StreamRef stream, Call call) {
        simt::take_launches();
        call();
        synchronize(stream);
        std::string launches;
        for (const simt::LaunchRecord& record : simt::take_launches()) {
            launches += launches.empty() ? "" : ", ";
            launches += "{\"kernel\": " + json(record.kernel) +
                        ", \"grid\": " + extents(record.grid) +
                        ", \"block\": " + extents(record.block) +
                        ", \"shared\": " + std::to_string(record.shared_bytes) + "}";
        }
        const std::string text = about + ", \"plan\": " + json(plan);
        for (Entry& entry : entries_)
            if (entry.about == text && entry.launches == launches) {
                ++entry.count;
                return;
            }
        entries_.push_back({text, launches, 1});
    }

    std::vector<Entry> entries_;
};

loader::ClipVisionConfig config_of(const std::string& model) {
    loader::ClipVisionConfig config;
    if (model == "clip-vit-base-patch32")
        return config;
    if (model == "clip-vit-base-patch16") {
        config.patch_size = 16;
        return config;
    }
    if (model == "clip-vit-large-patch14") {
        config.hidden_size = 1024;
        config.intermediate_size = 4096;
        config.projection_dim = 768;
        config.num_hidden_layers = 24;
        config.num_attention_heads = 16;
        config.patch_size = 14;
        return config;
    }
    throw Error(ErrorCode::invalid_argument,
                "model '" + model +
                    "' is not known: clip-vit-base-patch32, clip-vit-base-patch16 and "
                    "clip-vit-large-patch14 are");
}

/// A file whose every tensor is the same hole of zeros: its header says what the model asks for.
class ZeroCheckpoint {
public:
    explicit ZeroCheckpoint(const loader::ClipVisionConfig& c) {
        const size_t dim = c.hidden_size, hidden_dim = c.intermediate_size;
        const size_t patch = c.patch_size;
        const std::string embeddings = "vision_model.embeddings.";
        add(embeddings + "class_embedding", {dim});
        add(embeddings + "patch_embedding.weight", {dim, 3, patch, patch});
        add(embeddings + "position_embedding.weight", {static_cast<size_t>(c.tokens()), dim});
        norm("vision_model.pre_layrnorm", dim);
        for (int i = 0; i < c.num_hidden_layers; ++i) {
            const std::string layer = "vision_model.encoder.layers." + std::to_string(i) + ".";
            norm(layer + "layer_norm1", dim);
            norm(layer + "layer_norm2", dim);
            for (const char* name : {"q_proj", "k_proj", "v_proj", "out_proj"})
                linear(layer + "self_attn." + name, dim, dim);
            linear(layer + "mlp.fc1", hidden_dim, dim);
            linear(layer + "mlp.fc2", dim, hidden_dim);
        }
        norm("vision_model.post_layernorm", dim);
        add("visual_projection.weight", {static_cast<size_t>(c.projection_dim), dim});

        std::string header = "{" + header_ + "}";
        header.resize((header.size() + 7) / 8 * 8, ' ');
        file_ = std::filesystem::temp_directory_path() /
                ("yeoul-zeros-" + std::to_string(::getpid()) + ".safetensors");
        const uint64_t size = header.size();
        std::ofstream out(file_, std::ios::binary);
        out.write(reinterpret_cast<const char*>(&size), sizeof size);
        out << header;
        out.close();
        std::filesystem::resize_file(file_, sizeof size + header.size() + end_);
    }
    ~ZeroCheckpoint() {
        std::error_code ignored;
        std::filesystem::remove(file_, ignored);
    }
    ZeroCheckpoint(const ZeroCheckpoint&) = delete;
    ZeroCheckpoint& operator=(const ZeroCheckpoint&) = delete;
    const std::filesystem::path& file() const { return file_; }

private:
    void add(const std::string& name, const std::vector<size_t>& shape) {
        size_t bytes = 2;
        std::string extents;
        for (size_t extent : shape) {
            bytes *= extent;
            extents += (extents.empty() ? "" : ",") + std::to_string(extent);
        }
        header_ += (header_.empty() ? "\"" : ",\"") + name + "\":{\"dtype\":\"F16\",\"shape\":[" +
                   extents + "],\"data_offsets\":[" + std::to_string(end_) + "," +
                   std::to_string(end_ + bytes) + "]}";
        end_ += bytes;
    }
    void norm(const std::string& name, size_t dim) {
        add(name + ".weight", {dim});
        add(name + ".bias", {dim});
    }
    void linear(const std::string& name, size_t out, size_t in) {
        add(name + ".weight", {out, in});
        add(name + ".bias", {out});
    }

    std::string header_;
    size_t end_ = 0;
    std::filesystem::path file_;
};

void print_launches(const std::string& name, const std::vector<int>& batches) {
    const loader::ClipVisionConfig config = config_of(name);
    const std::unique_ptr<Backend> simt = cuda::make_backend({});
    Noting backend(*simt);
    simt::config().record_only = true;
    const ZeroCheckpoint zeros(config);
    Checkpoint checkpoint(loader::Safetensors::open_file(zeros.file()));
    ClipVision model(config, {}, checkpoint, backend, backend.numerics("auto"), batches);
    const Stream stream(backend);
    for (int batch : batches) {
        // Nothing runs, so nothing is touched: the memory is address space.
        const DeviceMemory arena = make_device_memory(backend, model.activation_bytes(batch));
        const size_t edge = config.image_size;
        const DeviceMemory slots = make_device_memory(backend, edge * edge * 3 * batch);
        const DeviceMemory rest = make_device_memory(backend, size_t{8192} * batch);
        auto* const rows = static_cast<std::byte*>(rest.get());
        model.forward(
            {View(slots.get(), DType::u8, {batch, config.image_size, config.image_size, 3}),
             View(rows, DType::i32, {batch})},
            {View(rows + size_t{1024} * batch, DType::f32, {batch, model.dim()}),
             View(rows + size_t{512} * batch, DType::f32, {batch})},
            Arena(arena.get(), model.activation_bytes(batch)), stream, {});
        for (const Entry& entry : backend.take())
            std::printf("{\"model\": %s, \"batch\": %d, %s, \"count\": %d, \"launches\": [%s]}\n",
                        json(name).c_str(), batch, entry.about.c_str(), entry.count,
                        entry.launches.c_str());
    }
}

} // namespace
} // namespace yeoul

int main(int argc, char** argv) {
    try {
        YEOUL_REQUIRE(argc == 3, "t4_geometry MODEL BATCH,BATCH,...");
        std::vector<int> batches;
        std::istringstream words(argv[2]);
        for (std::string word; std::getline(words, word, ',');)
            batches.push_back(std::atoi(word.c_str()));
        yeoul::print_launches(argv[1], batches);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "t4_geometry: %s\n", error.what());
        return 2;
    }
}

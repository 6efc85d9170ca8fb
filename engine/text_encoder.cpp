#include "engine/text_encoder.h"

#include <algorithm>
#include <cmath>

namespace yeoul {
namespace {

// The tower of a checkpoint that holds an image tower as well.
ClipText read_tower(const loader::ClipTextConfig& config, const std::filesystem::path& directory,
                    Backend& backend, Numerics numerics, const std::vector<int>& batches) {
    Checkpoint checkpoint(loader::Safetensors::open_directory(directory));
    return ClipText(config, checkpoint, backend, numerics, batches);
}

void check_agreement(const loader::ClipTextConfig& config, const loader::Tokenizer& tokenizer,
                     const std::filesystem::path& directory) {
    const auto refuse = [&](const std::string& what) {
        throw Error(ErrorCode::model, "model '" + directory.string() + "': " + what);
    };
    if (tokenizer.largest_id() >= config.vocab_size)
        refuse("the tokenizer has ids up to " + std::to_string(tokenizer.largest_id()) +
               ", but vocab_size is " + std::to_string(config.vocab_size) +
               ": they do not belong together");
    if (!config.pools_largest_id() && tokenizer.end_id() != config.eos_token_id)
        refuse("the tokenizer ends a text with id " + std::to_string(tokenizer.end_id()) +
               ", but eos_token_id is " + std::to_string(config.eos_token_id));
}

} // namespace

TextEncoder::TextEncoder(const std::filesystem::path& directory, Backend& backend, Device& memory,
                         Numerics numerics, const std::vector<int>& batches)
    : backend_(backend), config_(loader::read_clip_text_config(directory)),
      tokenizer_(loader::Tokenizer::open_directory(directory)),
      model_((check_agreement(config_, tokenizer_, directory),
              read_tower(config_, directory, backend, numerics, batches))),
      arena_bytes_(model_.activation_bytes(batches.back())),
      arena_(make_device_memory(memory, arena_bytes_)),
      ids_(make_device_memory(memory, sizeof(int32_t) * batches.back() * model_.context())),
      pooled_(make_device_memory(memory, sizeof(int32_t) * batches.back())),
      embeds_(make_device_memory(memory, sizeof(float) * batches.back() * model_.dim())),
      norms_(make_device_memory(memory, sizeof(float) * batches.back())),
      host_ids_(make_pinned_memory(memory, sizeof(int32_t) * batches.back() * model_.context())),
      host_pooled_(make_pinned_memory(memory, sizeof(int32_t) * batches.back())),
      host_embeds_(make_pinned_memory(memory, sizeof(float) * batches.back() * model_.dim())),
      host_norms_(make_pinned_memory(memory, sizeof(float) * batches.back())), stream_(memory) {}

TextEncoder::~TextEncoder() = default;

std::vector<std::vector<float>> TextEncoder::embed(std::span<const std::string> texts) {
    std::vector<std::vector<int32_t>> ids;
    for (size_t i = 0; i < texts.size(); ++i)
        try {
            ids.push_back(tokenizer_.framed(tokenizer_.tokens(texts[i]), model_.context()));
        } catch (const Error& error) {
            throw Error(error.code(), "text " + std::to_string(i + 1) + ": " + error.what());
        }

    const std::lock_guard lock(mutex_);
    const std::vector<int>& batches = model_.batches();
    const auto* embeds = static_cast<const float*>(host_embeds_.get());
    const auto* norms = static_cast<const float*>(host_norms_.get());
    std::vector<std::vector<float>> vectors;
    while (vectors.size() < ids.size()) {
        const size_t first = vectors.size();
        const int count =
            static_cast<int>(std::min(ids.size() - first, static_cast<size_t>(batches.back())));
        const int batch = *std::lower_bound(batches.begin(), batches.end(), count);
        for (int i = 0; i < batch; ++i) // padding repeats the last text
            put(i, ids[first + std::min(i, count - 1)]);
        run(batch);
        for (int i = 0; i < count; ++i) {
            if (!std::isfinite(norms[i]))
                throw Error(ErrorCode::non_finite, "the vector of text " +
                                                       std::to_string(first + i + 1) +
                                                       " holds NaN or infinity");
            const float* row = embeds + static_cast<size_t>(i) * model_.dim();
            vectors.emplace_back(row, row + model_.dim());
        }
    }
    return vectors;
}

void TextEncoder::warm_up() {
    const std::vector<int32_t> text = tokenizer_.framed({}, model_.context());
    const std::lock_guard lock(mutex_);
    for (int row = 0; row < model_.batches().back(); ++row)
        put(row, text);
    for (int batch : model_.batches())
        run(batch);
}

// Into the host memory: the framed ids and the token that is pooled.
void TextEncoder::put(int row, const std::vector<int32_t>& text) {
    std::copy(text.begin(), text.end(),
              static_cast<int32_t*>(host_ids_.get()) + static_cast<size_t>(row) * model_.context());
    static_cast<int32_t*>(host_pooled_.get())[row] = model_.pooled_token(text);
}

// What the host memory holds of `batch` texts, to their vectors.
void TextEncoder::run(int batch) {
    const size_t ids_bytes = sizeof(int32_t) * batch * model_.context();
    const size_t embeds_bytes = sizeof(float) * batch * model_.dim();
    try {
        backend_.copy(ids_.get(), host_ids_.get(), ids_bytes, CopyKind::host_to_device, stream_);
        backend_.copy(pooled_.get(), host_pooled_.get(), sizeof(int32_t) * batch,
                      CopyKind::host_to_device, stream_);
        model_.forward({View(ids_.get(), DType::i32, {batch, model_.context()}),
                        View(pooled_.get(), DType::i32, {batch})},
                       {View(embeds_.get(), DType::f32, {batch, model_.dim()}),
                        View(norms_.get(), DType::f32, {batch})},
                       Arena(arena_.get(), arena_bytes_), stream_);
        backend_.copy(host_embeds_.get(), embeds_.get(), embeds_bytes, CopyKind::device_to_host,
                      stream_);
        backend_.copy(host_norms_.get(), norms_.get(), sizeof(float) * batch,
                      CopyKind::device_to_host, stream_);
    } catch (...) {
        // What was enqueued still reads the host memory, which the next call fills.
        try {
            backend_.synchronize(stream_);
        } catch (const Error&) { // the first failure is the one to tell
        }
        throw;
    }
    backend_.synchronize(stream_);
}

} // namespace yeoul

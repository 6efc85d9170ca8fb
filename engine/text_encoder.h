// Text to vectors: tokenizer and text tower of a model directory, with the memory of one stream.
#pragma once

#include <filesystem>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "engine/models/clip_text.h"
#include "loader/tokenizer.h"

namespace yeoul {

class TextEncoder {
public:
    /// What it holds but weights comes from `memory`, a view of the backend's device.
    /// Throws `Error`, code `model`: no text tower, no tokenizer, ids beyond the token embedding,
    /// an end token that is not the one that config.json pools at.
    TextEncoder(const std::filesystem::path& directory, Backend& backend, Device& memory,
                Numerics numerics, const std::vector<int>& batches);
    ~TextEncoder();

    int dim() const { return model_.dim(); }
    float scale() const { return model_.scale(); }
    size_t weight_bytes() const { return model_.weight_bytes(); }
    size_t activation_bytes() const { return arena_bytes_; }

    /// The ids of a text, without begin and end and not cut. Throws `Error`, code
    /// `invalid_argument`, for a text that is not UTF-8.
    std::vector<int32_t> tokens(std::string_view text) const { return tokenizer_.tokens(text); }
    /// How many ids a text takes with begin and end, before it is cut.
    size_t length(std::string_view text) const { return tokens(text).size() + 2; }
    int context() const { return model_.context(); }

    /// transformers' `text_embeds`, one row each, not normalized; texts beyond the context are cut.
    /// Waits for the device; safe to use from several threads. Throws `Error`: `invalid_argument`
    /// naming the text that is not UTF-8, `non_finite`, and what the device throws.
    std::vector<std::vector<float>> embed(std::span<const std::string> texts);

    /// One pass of each batch size, so that the first text does not wait for what happens once: a
    /// GPU loads a library's kernels at their first launch. Waits for the device.
    void warm_up();

private:
    void put(int row, const std::vector<int32_t>& text);
    void run(int batch);

    Backend& backend_;
    loader::ClipTextConfig config_;
    loader::Tokenizer tokenizer_;
    ClipText model_;
    size_t arena_bytes_;

    std::mutex mutex_; // of everything below
    DeviceMemory arena_, ids_, pooled_, embeds_, norms_;
    PinnedMemory host_ids_, host_pooled_, host_embeds_, host_norms_;
    Stream stream_; // last: it is drained before the memory goes
};

} // namespace yeoul

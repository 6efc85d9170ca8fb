// Golden models with text (tests/golden/clip_text), and a pass of their text tower on a backend.
#pragma once

#include "engine/models/clip_text.h"
#include "tests/engine/golden.h"

namespace yeoul::test {

/// A golden model as it is on disk, every part of which a test may change before it runs.
struct GoldenText {
    explicit GoldenText(const std::filesystem::path& directory);

    std::filesystem::path directory;
    loader::ClipTextConfig config;
    std::vector<std::string> texts;
    std::vector<int32_t> ids; // (texts, context)
    Tensors reference;        // by module, `text_embeds`, `image_embeds`, `probabilities`
};

/// What the pass of one batch of all texts computes, by name, as fp32.
Tensors forward_text(const GoldenText& golden, Backend& backend, Numerics numerics);

} // namespace yeoul::test

// config.json of the Hugging Face hub, per family, with defaults filled in and legacy forms
// resolved.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace yeoul::loader {

/// transformers' CLIPVisionConfig; the defaults are those of configuration_clip.py.
struct ClipVisionConfig {
    int hidden_size = 768;
    int intermediate_size = 3072;
    int projection_dim = 512;
    int num_hidden_layers = 12;
    int num_attention_heads = 12;
    int num_channels = 3;
    int image_size = 224;
    int patch_size = 32;
    std::string hidden_act = "quick_gelu"; // or "gelu", "gelu_pytorch_tanh", "relu"
    double layer_norm_eps = 1e-5;

    int patches() const { return (image_size / patch_size) * (image_size / patch_size); }
    int tokens() const { return patches() + 1; }
    int head_dim() const { return hidden_size / num_attention_heads; }
};

struct ModelConfig {
    std::string model_type; // "clip", "clip_vision_model"
    std::vector<std::string> architectures;
    ClipVisionConfig clip_vision;
    /// What was absent and took its default, or was resolved from a legacy form: for `inspect`.
    std::vector<std::string> notes;
};

/// Reads `directory`/config.json. `Error`, code `model`, one sentence naming key and value: missing
/// directory or file, broken JSON, unknown `model_type` (known ones and the nearest are named),
/// values of the wrong type, not positive or contradicting each other (heads that do not divide
/// hidden_size, image_size that patch_size does not divide).
ModelConfig read_model_config(const std::filesystem::path& directory);
ModelConfig parse_model_config(std::string_view json, const std::string& label);

} // namespace yeoul::loader

// The text side of a `clip` config.json. Apart from loader/model_config.h, so that a directory
// whose text side is not understood still serves photos.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace yeoul::loader {

/// transformers' CLIPTextConfig; the defaults are those of configuration_clip.py.
struct ClipTextConfig {
    int vocab_size = 49408;
    int hidden_size = 512;
    int intermediate_size = 2048;
    int projection_dim = 512; // of the whole model: the top level's
    int num_hidden_layers = 12;
    int num_attention_heads = 8;
    int max_position_embeddings = 77;
    std::string hidden_act = "quick_gelu"; // or "gelu", "gelu_pytorch_tanh", "relu"
    double layer_norm_eps = 1e-5;
    /// Where a text is pooled: at the first token of this id. 2 is the value of files from before
    /// 2023, with which transformers takes the largest id of the text instead.
    int eos_token_id = 49407;
    std::vector<std::string> notes; // what was absent and took its default

    bool pools_largest_id() const { return eos_token_id == 2; }
    int head_dim() const { return hidden_size / num_attention_heads; }
};

/// Throws `Error`, code `model`: a model without text, and what `read_model_config` refuses.
ClipTextConfig read_clip_text_config(const std::filesystem::path& directory);
ClipTextConfig parse_clip_text_config(std::string_view json, const std::string& label);

} // namespace yeoul::loader

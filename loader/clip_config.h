// What the two towers of a CLIP config.json are read with.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "loader/json_fields.h"

namespace yeoul::loader {

// Far above any published model, low enough that products of two stay within int.
constexpr int kMaxWidth = 32768;
constexpr int kMaxLayers = 1024;

/// "known are a, b; nearest is b"
std::string known_and_nearest(const std::string& name, std::span<const std::string_view> names);

/// `hidden_act`, one of "quick_gelu", "gelu", "gelu_pytorch_tanh", "relu".
std::string read_activation(const JsonFields& fields);

/// The object of a tower in a `clip` file, or nullptr. transformers' CLIPConfig: KEY_dict, where it
/// stands, replaces KEY whole: keys that it lacks take their defaults, not the values of KEY. `key`
/// becomes the name of the object taken.
const Json* tower_config(const Json& json, const JsonFields& top, std::string& key,
                         std::string_view model_type);

/// The members that both towers have. Throws `Error`, code `model`.
template <class Config>
void read_clip_tower(const JsonFields& fields, Config& config) {
    config.hidden_size = fields.integer("hidden_size", config.hidden_size, 1, kMaxWidth);
    config.intermediate_size =
        fields.integer("intermediate_size", config.intermediate_size, 1, 4 * kMaxWidth);
    config.num_hidden_layers =
        fields.integer("num_hidden_layers", config.num_hidden_layers, 1, kMaxLayers);
    config.num_attention_heads =
        fields.integer("num_attention_heads", config.num_attention_heads, 1, kMaxWidth);
    config.hidden_act = read_activation(fields);
    config.layer_norm_eps = fields.number("layer_norm_eps", config.layer_norm_eps, 0.0, 1.0);
    if (config.hidden_size % config.num_attention_heads != 0)
        fields.refuse("num_attention_heads", fields.find("num_attention_heads"),
                      "must divide hidden_size, " + std::to_string(config.hidden_size));
}

} // namespace yeoul::loader

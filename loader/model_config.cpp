#include "loader/model_config.h"

#include <algorithm>
#include <array>
#include <system_error>

#include <yeoul/error.h>

#include "loader/json.h"
#include "loader/json_fields.h"
#include "loader/model_directory.h"
#include "loader/nearest_name.h"

namespace yeoul::loader {
namespace {

constexpr std::array<std::string_view, 2> kModelTypes{"clip", "clip_vision_model"};
constexpr std::array<std::string_view, 5> kActivations{"gelu", "gelu_new", "gelu_pytorch_tanh",
                                                       "quick_gelu", "relu"};

// Far above any published model, low enough that products of two stay within int.
constexpr int kMaxWidth = 32768;
constexpr int kMaxLayers = 1024;
constexpr int kMaxImageSize = 8192;

// "known are a, b; nearest is b"
std::string known_and_nearest(const std::string& name, std::span<const std::string_view> names) {
    const std::vector<std::string> known(names.begin(), names.end());
    std::string text = "known are ";
    for (size_t i = 0; i < known.size(); ++i)
        text += (i ? ", " : "") + known[i];
    const auto nearest = nearest_names(name, known, 1);
    return nearest.empty() ? text : text + "; nearest is " + nearest.front();
}

ClipVisionConfig read_clip_vision(const JsonFields& fields) {
    const ClipVisionConfig defaults;
    ClipVisionConfig config;
    config.hidden_size = fields.integer("hidden_size", defaults.hidden_size, 1, kMaxWidth);
    config.intermediate_size =
        fields.integer("intermediate_size", defaults.intermediate_size, 1, 4 * kMaxWidth);
    config.projection_dim = fields.integer("projection_dim", defaults.projection_dim, 1, kMaxWidth);
    config.num_hidden_layers =
        fields.integer("num_hidden_layers", defaults.num_hidden_layers, 1, kMaxLayers);
    config.num_attention_heads =
        fields.integer("num_attention_heads", defaults.num_attention_heads, 1, kMaxWidth);
    // Not noted when absent: only one value is possible.
    if (const Json* channels = fields.find("num_channels"))
        if (!integer_within(*channels, 3, 3, config.num_channels))
            fields.refuse("num_channels", channels, "must be 3, photos are RGB");
    config.image_size = fields.integer("image_size", defaults.image_size, 1, kMaxImageSize);
    config.patch_size = fields.integer("patch_size", defaults.patch_size, 1, kMaxImageSize);
    config.hidden_act = fields.text("hidden_act", defaults.hidden_act);
    config.layer_norm_eps = fields.number("layer_norm_eps", defaults.layer_norm_eps, 0.0, 1.0);

    if (config.hidden_size % config.num_attention_heads != 0)
        fields.refuse("num_attention_heads", fields.find("num_attention_heads"),
                      "must divide hidden_size, " + std::to_string(config.hidden_size));
    if (config.image_size % config.patch_size != 0)
        fields.refuse("patch_size", fields.find("patch_size"),
                      "must divide image_size, " + std::to_string(config.image_size));
    if (std::find(kActivations.begin(), kActivations.end(), config.hidden_act) ==
        kActivations.end())
        fields.refuse("hidden_act", fields.find("hidden_act"),
                      known_and_nearest(config.hidden_act, kActivations));
    if (config.hidden_act == "gelu_new") {
        fields.note("hidden_act gelu_new is the same function as gelu_pytorch_tanh");
        config.hidden_act = "gelu_pytorch_tanh";
    }
    return config;
}

const Json* object_or_null(const Json& json, const JsonFields& top, std::string_view key) {
    const Json* value = json.find(key);
    if (value == nullptr || value->is_null())
        return nullptr;
    if (value->object() == nullptr)
        top.refuse(key, value, "must be an object");
    return value;
}

// transformers' CLIPConfig: `vision_config_dict`, where it stands, replaces `vision_config` whole:
// keys that it lacks take their defaults, not the values of `vision_config`.
ClipVisionConfig read_clip(const Json& json, const std::string& label, ModelConfig& config) {
    const JsonFields top(&json, label, "", config.notes);
    const Json* vision = object_or_null(json, top, "vision_config");
    std::string key = "vision_config";
    if (const Json* legacy = object_or_null(json, top, "vision_config_dict")) {
        if (vision != nullptr)
            top.note("vision_config_dict (legacy) replaces vision_config");
        vision = legacy;
        key = "vision_config_dict";
    }
    if (vision == nullptr)
        top.note("vision_config is absent, every key takes its default");
    if (vision != nullptr && vision->find("model_type") != nullptr) {
        const Json* nested = vision->find("model_type");
        const std::string* type = nested->string();
        if (type == nullptr || (!type->empty() && *type != "clip_vision_model"))
            top.refuse(key + ".model_type", nested, "must be \"clip_vision_model\"");
    }
    const JsonFields fields(vision, label, key + ".", config.notes);
    ClipVisionConfig result = read_clip_vision(fields);

    // CLIPModel projects to the top-level projection_dim; CLIPVisionModelWithProjection knows only
    // the nested one. Published files exist where both differ.
    const auto& classes = config.architectures;
    if (std::find(classes.begin(), classes.end(), "CLIPVisionModelWithProjection") != classes.end())
        return result;
    const int nested = result.projection_dim;
    result.projection_dim =
        top.integer("projection_dim", ClipVisionConfig().projection_dim, 1, kMaxWidth);
    if (nested != result.projection_dim)
        top.note("projection_dim " + std::to_string(result.projection_dim) + " is used, not " +
                 key + ".projection_dim " + std::to_string(nested));
    return result;
}

std::vector<std::string> read_architectures(const Json& json, const JsonFields& top) {
    std::vector<std::string> names;
    const Json* list = json.find("architectures");
    if (list == nullptr || list->is_null())
        return names;
    if (list->array() == nullptr)
        top.refuse("architectures", list, "must be a list of class names");
    for (const Json& name : *list->array()) {
        if (name.string() == nullptr)
            top.refuse("architectures", &name, "must be a list of class names");
        names.push_back(*name.string());
    }
    return names;
}

} // namespace

ModelConfig parse_model_config(std::string_view text, const std::string& label) {
    const Json json = parse_json(text, label);
    ModelConfig config;
    const JsonFields top(&json, label, "", config.notes);
    if (json.object() == nullptr)
        throw Error(ErrorCode::model, label + ": is " + json.describe() + ", must be an object");
    const Json* type = json.find("model_type");
    if (type == nullptr && json.find("architecture") != nullptr)
        top.refuse("model_type", type,
                   "a timm directory (architecture " + json.find("architecture")->describe() +
                       ") is not supported; known are clip, clip_vision_model");
    if (type == nullptr || type->string() == nullptr)
        top.refuse("model_type", type, "known are clip, clip_vision_model");
    config.model_type = *type->string();
    config.architectures = read_architectures(json, top);
    if (config.model_type == "clip")
        config.clip_vision = read_clip(json, label, config);
    else if (config.model_type == "clip_vision_model")
        config.clip_vision = read_clip_vision(top);
    else
        top.refuse("model_type", type, known_and_nearest(config.model_type, kModelTypes));
    return config;
}

ModelConfig read_model_config(const std::filesystem::path& directory) {
    require_model_directory(directory);
    const auto file = directory / "config.json";
    return parse_model_config(read_text_file(file), file.string());
}

} // namespace yeoul::loader

#include "loader/model_config.h"

#include <algorithm>
#include <array>
#include <system_error>

#include <yeoul/error.h>

#include "loader/clip_config.h"
#include "loader/json.h"
#include "loader/json_fields.h"
#include "loader/model_directory.h"

namespace yeoul::loader {
namespace {

constexpr std::array<std::string_view, 2> kModelTypes{"clip", "clip_vision_model"};
constexpr int kMaxImageSize = 8192;

ClipVisionConfig read_clip_vision(const JsonFields& fields) {
    ClipVisionConfig config;
    read_clip_tower(fields, config);
    config.projection_dim = fields.integer("projection_dim", config.projection_dim, 1, kMaxWidth);
    // Not noted when absent: only one value is possible.
    if (const Json* channels = fields.find("num_channels"))
        if (!integer_within(*channels, 3, 3, config.num_channels))
            fields.refuse("num_channels", channels, "must be 3, photos are RGB");
    config.image_size = fields.integer("image_size", config.image_size, 1, kMaxImageSize);
    config.patch_size = fields.integer("patch_size", config.patch_size, 1, kMaxImageSize);
    if (config.image_size % config.patch_size != 0)
        fields.refuse("patch_size", fields.find("patch_size"),
                      "must divide image_size, " + std::to_string(config.image_size));
    return config;
}

ClipVisionConfig read_clip(const Json& json, const std::string& label, ModelConfig& config) {
    const JsonFields top(&json, label, "", config.notes);
    std::string key = "vision_config";
    const Json* vision = tower_config(json, top, key, "clip_vision_model");
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

#include "loader/clip_text_config.h"

#include <yeoul/error.h>

#include "loader/clip_config.h"
#include "loader/model_directory.h"

namespace yeoul::loader {
namespace {

constexpr int kMaxVocabulary = 10'000'000;
constexpr int kMaxContext = 4096;

} // namespace

ClipTextConfig parse_clip_text_config(std::string_view text, const std::string& label) {
    const Json json = parse_json(text, label);
    ClipTextConfig config;
    const JsonFields top(&json, label, "", config.notes);
    const Json* type = json.find("model_type");
    if (type == nullptr || type->string() == nullptr || *type->string() != "clip")
        top.refuse("model_type", type,
                   "has no text: only a model of type \"clip\" turns text into vectors");
    std::string key = "text_config";
    const Json* tower = tower_config(json, top, key, "clip_text_model");
    const JsonFields fields(tower, label, key + ".", config.notes);
    read_clip_tower(fields, config);
    config.vocab_size = fields.integer("vocab_size", config.vocab_size, 1, kMaxVocabulary);
    config.max_position_embeddings =
        fields.integer("max_position_embeddings", config.max_position_embeddings, 2, kMaxContext);
    config.eos_token_id = fields.integer("eos_token_id", config.eos_token_id, 0, kMaxVocabulary);
    config.projection_dim = top.integer("projection_dim", config.projection_dim, 1, kMaxWidth);
    if (config.pools_largest_id())
        fields.note(
            "eos_token_id 2 is the legacy convention: texts are pooled at their largest id");
    return config;
}

ClipTextConfig read_clip_text_config(const std::filesystem::path& directory) {
    require_model_directory(directory);
    const auto file = directory / "config.json";
    return parse_clip_text_config(read_text_file(file), file.string());
}

} // namespace yeoul::loader

#include <doctest/doctest.h>

#include <algorithm>

#include "loader/clip_text_config.h"
#include "tests/loader/file_helpers.h"

namespace yeoul::loader {
namespace {

ClipTextConfig text_config_of(const std::string& members) {
    return parse_clip_text_config(
        "{\"model_type\": \"clip\"" + (members.empty() ? "" : ", " + members) + "}", "config.json");
}

std::string text_config_refusal(const std::string& members) {
    return error_of(ErrorCode::model, [&] { text_config_of(members); });
}

bool noted(const ClipTextConfig& config, const std::string& note) {
    return std::find(config.notes.begin(), config.notes.end(), note) != config.notes.end();
}

} // namespace

TEST_CASE("text config: absent keys take transformers' defaults and are noted") {
    const ClipTextConfig config = text_config_of("\"text_config\": {}");
    CHECK(config.vocab_size == 49408);
    CHECK(config.hidden_size == 512);
    CHECK(config.intermediate_size == 2048);
    CHECK(config.num_hidden_layers == 12);
    CHECK(config.num_attention_heads == 8);
    CHECK(config.max_position_embeddings == 77);
    CHECK(config.hidden_act == "quick_gelu");
    CHECK(config.layer_norm_eps == 1e-5);
    CHECK(config.eos_token_id == 49407);
    CHECK(config.projection_dim == 512);
    CHECK(!config.pools_largest_id());
    CHECK(noted(config, "text_config.vocab_size is absent, taken as 49408"));
    CHECK(noted(text_config_of(""), "text_config is absent, every key takes its default"));
}

TEST_CASE("text config: text_config_dict replaces text_config, projection_dim is the top level's") {
    const ClipTextConfig config = text_config_of(R"("projection_dim": 768,
        "text_config": {"hidden_size": 1024, "num_attention_heads": 16, "projection_dim": 24},
        "text_config_dict": {"hidden_size": 768, "num_attention_heads": 12, "eos_token_id": 2,
                             "vocab_size": 100, "max_position_embeddings": 12,
                             "hidden_act": "gelu", "layer_norm_eps": 1e-6})");
    CHECK(config.hidden_size == 768);
    CHECK(config.num_attention_heads == 12);
    CHECK(config.head_dim() == 64);
    CHECK(config.vocab_size == 100);
    CHECK(config.max_position_embeddings == 12);
    CHECK(config.hidden_act == "gelu");
    CHECK(config.layer_norm_eps == 1e-6);
    CHECK(config.projection_dim == 768);
    CHECK(config.pools_largest_id());
    CHECK(noted(config, "text_config_dict (legacy) replaces text_config"));
}

TEST_CASE("text config: a model without text and values out of range are refused by name") {
    CHECK(lacks(error_of(ErrorCode::model,
                         [] {
                             parse_clip_text_config(R"({"model_type": "clip_vision_model"})",
                                                    "config.json");
                         }),
                "model_type is \"clip_vision_model\", has no text") == "");
    CHECK(lacks(text_config_refusal(R"("text_config": 5)"),
                "text_config is 5, must be an object") == "");
    CHECK(lacks(text_config_refusal(R"("text_config": {"model_type": "siglip_text_model"})"),
                "must be \"clip_text_model\"") == "");
    CHECK(lacks(text_config_refusal(R"("text_config": {"vocab_size": 0})"),
                "text_config.vocab_size is 0") == "");
    CHECK(lacks(text_config_refusal(R"("text_config": {"num_attention_heads": 7})"),
                "must divide") == "");
    CHECK(lacks(text_config_refusal(R"("text_config": {"eos_token_id": [1, 2]})"),
                "eos_token_id is a list") == "");
    CHECK(lacks(text_config_refusal(R"("text_config": {"hidden_act": "quick_gel"})"),
                "nearest is quick_gelu") == "");
    CHECK(lacks(text_config_refusal(R"("text_config": {"max_position_embeddings": 1})"), "is 1") ==
          "");
}

} // namespace yeoul::loader

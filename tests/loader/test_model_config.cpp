#include <doctest/doctest.h>

#include <algorithm>

#include "loader/model_config.h"
#include "tests/loader/file_helpers.h"

namespace yeoul::loader {
namespace {

ModelConfig config_of(const std::string& json) {
    return parse_model_config(json, "config.json");
}

std::string config_refusal(const std::string& json) {
    return error_of(ErrorCode::model, [&] { config_of(json); });
}

ModelConfig vision(const std::string& members) {
    return config_of("{\"model_type\":\"clip_vision_model\"" +
                     (members.empty() ? "" : "," + members) + "}");
}

bool noted(const ModelConfig& config, const std::string& note) {
    return std::find(config.notes.begin(), config.notes.end(), note) != config.notes.end();
}

TEST_CASE("model config: clip_vision_model with every key at the top level") {
    const ModelConfig config = config_of(R"({
        "architectures": ["CLIPVisionModelWithProjection"], "attention_dropout": 0.0,
        "dtype": "float32", "hidden_act": "gelu", "hidden_size": 1024, "image_size": 336,
        "initializer_factor": 1.0, "initializer_range": 0.02, "intermediate_size": 4096,
        "layer_norm_eps": 1e-06, "model_type": "clip_vision_model", "num_attention_heads": 16,
        "num_channels": 3, "num_hidden_layers": 24, "patch_size": 14, "projection_dim": 768,
        "transformers_version": "5.23.0"})");
    CHECK(config.model_type == "clip_vision_model");
    CHECK(config.architectures == std::vector<std::string>{"CLIPVisionModelWithProjection"});
    const ClipVisionConfig& clip = config.clip_vision;
    CHECK(clip.hidden_size == 1024);
    CHECK(clip.intermediate_size == 4096);
    CHECK(clip.projection_dim == 768);
    CHECK(clip.num_hidden_layers == 24);
    CHECK(clip.num_attention_heads == 16);
    CHECK(clip.image_size == 336);
    CHECK(clip.patch_size == 14);
    CHECK(clip.hidden_act == "gelu");
    CHECK(clip.layer_norm_eps == 1e-6);
    CHECK(clip.tokens() == 577);
    CHECK(clip.head_dim() == 64);
    CHECK(config.notes.empty());
}

TEST_CASE("model config: absent keys take transformers' defaults and are noted") {
    const ModelConfig config = vision("");
    const ClipVisionConfig& clip = config.clip_vision;
    CHECK(clip.hidden_size == 768);
    CHECK(clip.intermediate_size == 3072);
    CHECK(clip.projection_dim == 512);
    CHECK(clip.num_hidden_layers == 12);
    CHECK(clip.num_attention_heads == 12);
    CHECK(clip.num_channels == 3);
    CHECK(clip.image_size == 224);
    CHECK(clip.patch_size == 32);
    CHECK(clip.hidden_act == "quick_gelu");
    CHECK(clip.layer_norm_eps == 1e-5);
    CHECK(config.notes.size() == 9);
    CHECK(noted(config, "hidden_size is absent, taken as 768"));
    CHECK(noted(config, "hidden_act is absent, taken as \"quick_gelu\""));
    CHECK(noted(config, "layer_norm_eps is absent, taken as 1e-05"));
}

TEST_CASE("model config: clip takes vision_config and the projection of the top level") {
    const ModelConfig config = config_of(R"({"architectures": ["CLIPModel"], "model_type": "clip",
        "projection_dim": 1024, "text_config": {"hidden_size": 99, "model_type": "clip_text_model"},
        "vision_config": {"hidden_size": 1280, "num_attention_heads": 16, "hidden_act": "gelu",
                          "model_type": "clip_vision_model", "patch_size": 14}})");
    CHECK(config.clip_vision.hidden_size == 1280);
    CHECK(config.clip_vision.patch_size == 14);
    CHECK(config.clip_vision.projection_dim == 1024);
    CHECK(noted(config, "vision_config.image_size is absent, taken as 224"));
    CHECK(noted(config, "projection_dim 1024 is used, not vision_config.projection_dim 512"));
}

TEST_CASE("model config: clip of CLIPVisionModelWithProjection has the nested projection") {
    const ModelConfig config =
        config_of(R"({"architectures": ["CLIPVisionModelWithProjection"], "model_type": "clip",
                  "projection_dim": 1024, "vision_config": {"projection_dim": 640}})");
    CHECK(config.clip_vision.projection_dim == 640);
}

TEST_CASE("model config: clip without vision_config is B/32") {
    for (const char* json : {R"({"model_type":"clip"})",
                             R"({"model_type":"clip","vision_config":null,"architectures":null})",
                             R"({"model_type":"clip","vision_config_dict":null})"}) {
        const ModelConfig config = config_of(json);
        CHECK(config.clip_vision.hidden_size == 768);
        CHECK(config.clip_vision.projection_dim == 512);
        CHECK(noted(config, "vision_config is absent, every key takes its default"));
        CHECK(noted(config, "projection_dim is absent, taken as 512"));
    }
}

// What transformers 5.23 gives for this very file: 768, 12 heads, patch 14.
TEST_CASE("model config: vision_config_dict replaces vision_config whole, with defaults") {
    const ModelConfig config = config_of(R"({"model_type":"clip",
        "vision_config":{"hidden_size":1024,"num_attention_heads":16,"patch_size":16},
        "vision_config_dict":{"patch_size":14}})");
    CHECK(config.clip_vision.patch_size == 14);
    CHECK(config.clip_vision.hidden_size == 768);
    CHECK(config.clip_vision.num_attention_heads == 12);
    CHECK(noted(config, "vision_config_dict (legacy) replaces vision_config"));
    const ModelConfig alone =
        config_of(R"({"model_type":"clip","vision_config_dict":{"patch_size":16}})");
    CHECK(alone.clip_vision.patch_size == 16);
}

TEST_CASE("model config: known activations, one name for the tanh form") {
    for (const char* name : {"quick_gelu", "gelu", "gelu_pytorch_tanh", "relu"})
        CHECK(vision("\"hidden_act\":\"" + std::string(name) + "\"").clip_vision.hidden_act ==
              name);
    const ModelConfig config = vision(R"("hidden_act":"gelu_new")");
    CHECK(config.clip_vision.hidden_act == "gelu_pytorch_tanh");
    CHECK(noted(config, "hidden_act gelu_new is the same function as gelu_pytorch_tanh"));
}

TEST_CASE("model config: every bad value is refused with key and value") {
    struct Wrong {
        const char *members, *part;
    };
    for (const Wrong& wrong : {
             Wrong{R"("hidden_size":"768")", "hidden_size is \"768\", must be an integer from 1"},
             {R"("hidden_size":768.0)", "hidden_size is 768, must be an integer"},
             {R"("hidden_size":true)", "hidden_size is true"},
             {R"("hidden_size":null)", "hidden_size is null"},
             {R"("hidden_size":[768])", "hidden_size is a list"},
             {R"("hidden_size":0)", "hidden_size is 0"},
             {R"("hidden_size":-768)", "hidden_size is -768"},
             {R"("hidden_size":4294967296)", "hidden_size is 4294967296"},
             {R"("hidden_size":99999999999999999999)", "hidden_size is 1e+20"},
             {R"("intermediate_size":0)", "intermediate_size is 0"},
             {R"("projection_dim":null)", "projection_dim is null"},
             {R"("num_hidden_layers":1025)", "num_hidden_layers is 1025, must be an integer from "
                                             "1 to 1024"},
             {R"("num_attention_heads":0)", "num_attention_heads is 0"},
             {R"("num_attention_heads":10)", "num_attention_heads is 10, must divide hidden_size, "
                                             "768"},
             {R"("hidden_size":770)",
              "num_attention_heads is absent, must divide hidden_size, 770"},
             {R"("num_channels":1)", "num_channels is 1, must be 3"},
             {R"("num_channels":"3")", "num_channels is \"3\""},
             {R"("image_size":[224,224])", "image_size is a list"},
             {R"("image_size":8193)", "image_size is 8193"},
             {R"("patch_size":15)", "patch_size is 15, must divide image_size, 224"},
             {R"("patch_size":448)", "patch_size is 448, must divide image_size, 224"},
             {R"("hidden_act":"swish")", "hidden_act is \"swish\", known are gelu, gelu_new"},
             {R"("hidden_act":"quickgelu")", "nearest is quick_gelu"},
             {R"("hidden_act":1)", "hidden_act is 1, must be a string"},
             {R"("layer_norm_eps":0)", "layer_norm_eps is 0, must be a number above 0 and below 1"},
             {R"("layer_norm_eps":1)", "layer_norm_eps is 1"},
             {R"("layer_norm_eps":-1e-5)", "layer_norm_eps is -1e-05"},
             {R"("layer_norm_eps":"1e-5")", "layer_norm_eps is \"1e-5\""},
             {R"("architectures":"CLIPModel")", "architectures is \"CLIPModel\""},
             {R"("architectures":[1])", "architectures is 1"},
         }) {
        CAPTURE(wrong.members);
        const std::string message = error_of(ErrorCode::model, [&] { vision(wrong.members); });
        CHECK(lacks(message, "config.json: ") == "");
        CHECK(lacks(message, wrong.part) == "");
    }
}

TEST_CASE("model config: nested keys are named with their path") {
    CHECK(lacks(config_refusal(R"({"model_type":"clip","vision_config":{"patch_size":0}})"),
                "config.json: vision_config.patch_size is 0") == "");
    CHECK(lacks(config_refusal(R"({"model_type":"clip","vision_config_dict":{"patch_size":0}})"),
                "config.json: vision_config_dict.patch_size is 0") == "");
    CHECK(lacks(config_refusal(R"({"model_type":"clip","vision_config":[]})"),
                "vision_config is a list, must be an object") == "");
    CHECK(lacks(config_refusal(
                    R"({"model_type":"clip","vision_config":{"model_type":"siglip_vision"}})"),
                "vision_config.model_type is \"siglip_vision\"") == "");
    CHECK(lacks(config_refusal(R"({"model_type":"clip","projection_dim":"512"})"),
                "config.json: projection_dim is \"512\"") == "");
}

TEST_CASE("model config: an unknown family is refused with the known ones and the nearest") {
    const std::string message = config_refusal(R"({"model_type":"clip_visoin_model"})");
    CHECK(lacks(message, "model_type is \"clip_visoin_model\", known are clip, clip_vision_model; "
                         "nearest is clip_vision_model") == "");
    CHECK(lacks(config_refusal(R"({"model_type":"llama"})"), "known are clip, clip_vision_model") ==
          "");
    CHECK(config_refusal(R"({"model_type":"llama"})").find("nearest") == std::string::npos);
    CHECK(lacks(config_refusal("{}"), "model_type is absent, known are clip") == "");
    CHECK(lacks(config_refusal(R"({"model_type":7})"), "model_type is 7") == "");
    CHECK(lacks(config_refusal(R"({"architecture":"vit_base_patch16_224"})"),
                "a timm directory (architecture \"vit_base_patch16_224\") is not supported") == "");
}

TEST_CASE("model config: broken files") {
    CHECK(lacks(config_refusal("{\"model_type\": clip}"),
                "config.json: not valid JSON at line 1") == "");
    CHECK(lacks(config_refusal("[]"), "config.json: is a list, must be an object") == "");
    CHECK(lacks(config_refusal(R"({"model_type":"clip","model_type":"clip"})"), "occurs twice") ==
          "");
}

TEST_CASE("model config: read from a directory") {
    const ScratchDirectory scratch;
    const auto message = [](const std::filesystem::path& directory) {
        return error_of(ErrorCode::model, [&] { read_model_config(directory); });
    };
    CHECK(lacks(message(scratch / "none"), "none does not exist") == "");
    CHECK(lacks(message(scratch.path()), "config.json is missing") == "");
    put_file(scratch / "config.json", "{");
    CHECK(lacks(message(scratch.path()), "config.json: not valid JSON") == "");
    CHECK(lacks(message(scratch / "config.json"), "is a file, give the folder") == "");
    put_file(scratch / "config.json", R"({"model_type":"clip_vision_model","patch_size":16})");
    CHECK(read_model_config(scratch.path()).clip_vision.patch_size == 16);
}

} // namespace
} // namespace yeoul::loader

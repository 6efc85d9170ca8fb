#include <doctest/doctest.h>
#include <filesystem>

#include "loader/safetensors.h"
#include "tests/apps/program.h"
#include "tests/apps/workplace.h"
#include "tests/support/text.h"

namespace fs = std::filesystem;
using namespace yeoul::test;
using yeoul::loader::Safetensors;
using yeoul::loader::TensorToWrite;

namespace {

/// `inspect` of a model that must not load: exit code 3 and one sentence. The sentence.
std::string refusal(const Workplace& place) {
    const Outcome outcome = run({"inspect", "--model", place.model()});
    CHECK(outcome.code == 3);
    CHECK(outcome.out == "");
    REQUIRE(lines(outcome.err).size() == 1);
    CHECK(outcome.err.starts_with("error: "));
    return outcome.err;
}

void replace_in_config(const Workplace& place, const std::string& from, const std::string& to) {
    std::string config = place.read("model/config.json");
    const size_t at = config.find(from);
    REQUIRE(at != std::string::npos);
    place.write("model/config.json", config.replace(at, from.size(), to));
}

/// Rewrites the weights with `change` applied to the list of tensors.
template <class Change>
void rewrite_weights(const Workplace& place, Change change) {
    const std::string bytes = place.read("model/model.safetensors");
    const Safetensors file = Safetensors::parse(std::as_bytes(std::span(bytes)), "tiny");
    std::vector<TensorToWrite> tensors;
    for (const auto& [name, tensor] : file.tensors())
        tensors.push_back({name, tensor.dtype, tensor.shape, tensor.data});
    change(tensors);
    yeoul::loader::write_safetensors(place / "model/model.safetensors", tensors);
}

} // namespace

TEST_CASE("bad models: the tiny model itself loads") {
    const Workplace place;
    CHECK(run({"inspect", "--model", place.model()}).code == 0);
}

TEST_CASE("bad models: a directory that is missing is named") {
    const Workplace place;
    fs::remove_all(place.model());
    CHECK(contains(refusal(place), place.model()));
}

TEST_CASE("bad models: only pytorch_model.bin is refused with what to do") {
    const Workplace place;
    fs::rename(place / "model/model.safetensors", place / "model/pytorch_model.bin");
    const std::string sentence = refusal(place);
    CHECK(contains(sentence, "PyTorch"));
    CHECK(contains(sentence, "save_file"));
}

TEST_CASE("bad models: an unknown model_type is named") {
    const Workplace place;
    replace_in_config(place, "clip_vision_model", "clap_vision_model");
    CHECK(contains(refusal(place), "clap_vision_model"));
}

TEST_CASE("bad models: a config that contradicts itself or the tensors names the value") {
    const Workplace place;
    SUBCASE("heads do not divide the width") {
        replace_in_config(place, "\"num_attention_heads\": 2", "\"num_attention_heads\": 5");
        CHECK(contains(refusal(place), "5"));
    }
    SUBCASE("another width than the tensors") {
        replace_in_config(place, "\"hidden_size\": 32", "\"hidden_size\": 64");
        CHECK(contains(refusal(place), "64"));
    }
    SUBCASE("more layers than the tensors") {
        replace_in_config(place, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
        CHECK(contains(refusal(place), "layers.2."));
    }
    SUBCASE("broken JSON") {
        replace_in_config(place, "}", "");
        CHECK(contains(refusal(place), "config.json"));
    }
    SUBCASE("no preprocessor file") {
        fs::remove(place / "model/preprocessor_config.json");
        CHECK(contains(refusal(place), "preprocessor_config.json"));
    }
}

TEST_CASE("bad models: safetensors cut anywhere in the header, or in the data, is refused") {
    const Workplace place;
    const std::string bytes = place.read("model/model.safetensors");
    const size_t header =
        8 + static_cast<uint8_t>(bytes[0]) + 256u * static_cast<uint8_t>(bytes[1]);
    // Every byte is the loader's own test; here the ends and a few between, as a process.
    for (size_t size :
         {size_t{0}, size_t{7}, size_t{8}, header / 2, header - 1, header, bytes.size() - 1}) {
        CAPTURE(size);
        place.write("model/model.safetensors", bytes.substr(0, size));
        CHECK(contains(refusal(place), "model.safetensors"));
    }
}

TEST_CASE("bad models: missing and unexpected tensors are named with the nearest known") {
    const Workplace place;
    rewrite_weights(place, [](std::vector<TensorToWrite>& tensors) {
        for (TensorToWrite& tensor : tensors)
            if (tensor.name == "vision_model.post_layernorm.weight")
                tensor.name = "vision_model.post_layer_norm.weight";
    });
    const std::string sentence = refusal(place);
    CHECK(contains(sentence, "vision_model.post_layernorm.weight"));
    CHECK(contains(sentence, "vision_model.post_layer_norm.weight"));
}

TEST_CASE("bad models: a tensor of a dtype that is no float is refused") {
    const Workplace place;
    rewrite_weights(place, [](std::vector<TensorToWrite>& tensors) {
        for (TensorToWrite& tensor : tensors)
            if (tensor.name == "visual_projection.weight")
                tensor.dtype = "I32";
    });
    CHECK(contains(refusal(place), "visual_projection.weight"));
}

TEST_CASE("bad models: a device or precision that is not there is refused by name") {
    const Workplace place;
    const Outcome cuda = run({"inspect", "--model", place.model(), "--device", "cuda"});
    CHECK(cuda.code == 4);
    CHECK(contains(cuda.err, "CUDA"));
    const Outcome fp16 = run({"inspect", "--model", place.model(), "--precision", "fp16"});
    CHECK(fp16.code == 4);
    CHECK(contains(fp16.err, "fp16"));
    const Outcome unknown = run({"inspect", "--model", place.model(), "--device", "tpu"});
    CHECK(unknown.code == 2);
    CHECK(contains(unknown.err, "tpu"));
}

// Directories whose weights and config do not belong together: refused with the names.
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include <yeoul/error.h>

#include "engine/models/clip.h"
#include "loader/safetensors.h"
#include "tests/engine/golden.h"
#include "tests/support/temporary_directory.h"

using namespace yeoul;
using namespace yeoul::test;
namespace fs = std::filesystem;

namespace {

/// A golden model in a folder of its own, to be changed.
class AlteredModel {
public:
    AlteredModel() {
        for (const fs::directory_entry& file : fs::directory_iterator(original()))
            fs::copy(file.path(), folder_.path());
    }

    /// Rewrites the weights with `change` applied to the list of tensors.
    template <class Change>
    void weights(Change change) const {
        const loader::Safetensors file =
            loader::Safetensors::open_file(original() / "model.safetensors");
        std::vector<loader::TensorToWrite> tensors;
        for (const auto& [name, tensor] : file.tensors())
            tensors.push_back({name, tensor.dtype, tensor.shape, tensor.data});
        change(tensors);
        loader::write_safetensors(folder_.path() / "model.safetensors", tensors);
    }

    void config(const std::string& from, const std::string& to) const {
        std::ifstream in(folder_.path() / "config.json");
        std::string text{std::istreambuf_iterator<char>(in), {}};
        const size_t at = text.find(from);
        REQUIRE(at != std::string::npos);
        std::ofstream(folder_.path() / "config.json") << text.replace(at, from.size(), to);
    }

    /// What opening says; "opened" when it says nothing.
    std::string refusal() const {
        const auto backend = make_cpu_backend(1);
        try {
            open_model(folder_.path(), *backend, backend->numerics("fp32"),
                       [](const batching::VisionTransformer&) { return std::vector<int>{1}; });
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::model);
            return error.what();
        }
        return "opened";
    }

private:
    static fs::path original() { return golden_root() / "clip" / "quick-gelu-50"; }
    TemporaryDirectory folder_;
};

void check_names(const std::string& sentence, const std::vector<std::string>& parts) {
    CAPTURE(sentence);
    for (const std::string& part : parts) {
        CAPTURE(part);
        CHECK(sentence.find(part) != std::string::npos);
    }
    CHECK(sentence.find('\n') == std::string::npos);
}

constexpr const char* kLast = "vision_model.post_layernorm.weight";

} // namespace

TEST_CASE("checkpoint: the golden model opens as it is") {
    CHECK(AlteredModel().refusal() == "opened");
}

TEST_CASE("checkpoint: unexpected tensors are refused and counted, five are shown") {
    const AlteredModel model;
    for (const int more : {1, 2, 7}) {
        model.weights([&](std::vector<loader::TensorToWrite>& tensors) {
            loader::TensorToWrite extra = tensors.front();
            for (int i = 0; i < more; ++i) {
                extra.name = "vision_model.post_layernorm.weight_" + std::to_string(i);
                tensors.push_back(extra);
            }
        });
        const std::string sentence = model.refusal();
        check_names(sentence, {std::to_string(more) + " unexpected tensor",
                               "'vision_model.post_layernorm.weight_0'",
                               "nearest known names are 'vision_model.post_layernorm.weight'"});
        CHECK((sentence.find("weight_1'") != std::string::npos) == (more > 1));
        CHECK((sentence.find("weight_4', ...") != std::string::npos) == (more > 5));
    }
}

TEST_CASE("checkpoint: a missing tensor is named with what the file has instead") {
    const AlteredModel model;
    model.weights([](std::vector<loader::TensorToWrite>& tensors) {
        for (loader::TensorToWrite& tensor : tensors)
            if (tensor.name == kLast)
                tensor.name = "vision_model.post_layer_norm.weight";
    });
    check_names(model.refusal(), {"tensor '" + std::string(kLast) + "' is missing",
                                  "'vision_model.post_layer_norm.weight'"});
}

TEST_CASE("checkpoint: a config of another width or depth than the tensors is refused") {
    const AlteredModel wide, deep, shallow;
    const loader::ClipVisionConfig vision =
        loader::read_model_config(golden_root() / "clip" / "quick-gelu-50").clip_vision;
    const auto field = [](const std::string& name, int value) {
        return "\"" + name + "\": " + std::to_string(value);
    };
    wide.config(field("hidden_size", vision.hidden_size),
                field("hidden_size", 2 * vision.hidden_size));
    check_names(wide.refusal(), {"config.json implies", std::to_string(2 * vision.hidden_size)});
    const int layers = vision.num_hidden_layers;
    deep.config(field("num_hidden_layers", layers), field("num_hidden_layers", layers + 1));
    check_names(deep.refusal(), {"layers." + std::to_string(layers) + ".", "is missing"});
    shallow.config(field("num_hidden_layers", layers), field("num_hidden_layers", layers - 1));
    check_names(shallow.refusal(),
                {"16 unexpected tensors", "layers." + std::to_string(layers - 1) + "."});
}

#include <cmath>
#include <iomanip>
#include <sstream>

#include "engine/models/clip.h"

namespace yeoul {
namespace {

template <class T>
std::string text(const T& value) {
    std::ostringstream out;
    out << std::setprecision(9) << value;
    return out.str();
}

std::string text(const std::array<double, 3>& values) {
    return text(values[0]) + ", " + text(values[1]) + ", " + text(values[2]);
}

std::string resize_text(const loader::Preprocessor& p) {
    std::string filter = p.resample == loader::Resample::bicubic ? "bicubic" : "bilinear";
    switch (p.resize) {
    case loader::Preprocessor::Resize::none:
        return "none";
    case loader::Preprocessor::Resize::shortest_edge:
        return "shortest edge to " + text(p.shortest_edge) + ", " + filter + ", antialiased";
    case loader::Preprocessor::Resize::exact:
        return text(p.resize_height) + " x " + text(p.resize_width) + ", " + filter +
               ", antialiased";
    }
    return "?";
}

void add_facts(ModelInfo& info, const loader::ModelConfig& config, const loader::Preprocessor& p,
               const loader::Safetensors& file) {
    const loader::ClipVisionConfig& vision = config.clip_vision;
    const auto add = [&](const char* group, const char* key, const std::string& value) {
        info.facts.push_back({group, key, value});
    };
    add("model", "model_type", config.model_type);
    for (const std::string& architecture : config.architectures)
        add("model", "architecture", architecture);
    add("model", "parameters", text(info.parameters));
    add("model", "GFLOP per photo", text(std::round(info.gflop * 1000) / 1000));
    add("model", "output", "image_embeds (" + text(info.dim) + ")");
    for (const std::filesystem::path& path : file.files())
        add("model", "file", path.filename().string());
    std::string dtypes;
    for (const char* dtype : {"F32", "F16", "BF16"})
        for (const auto& [name, tensor] : file.tensors())
            if (tensor.dtype == dtype) {
                dtypes += (dtypes.empty() ? "" : ", ") + std::string(dtype);
                break;
            }
    add("model", "stored as", dtypes);

    add("vision", "layers", text(vision.num_hidden_layers));
    add("vision", "hidden_size", text(vision.hidden_size));
    add("vision", "intermediate_size", text(vision.intermediate_size));
    add("vision", "heads", text(vision.num_attention_heads) + " of " + text(vision.head_dim()));
    add("vision", "image_size", text(vision.image_size));
    add("vision", "patch_size", text(vision.patch_size));
    add("vision", "tokens", text(vision.tokens()));
    add("vision", "activation", vision.hidden_act);
    add("vision", "layer_norm_eps", text(vision.layer_norm_eps));
    add("vision", "projection_dim", text(vision.projection_dim));

    add("preprocess", "resize", resize_text(p));
    add("preprocess", "centre crop",
        p.center_crop ? text(p.crop_height) + " x " + text(p.crop_width) : "none");
    add("preprocess", "rescale", p.rescale ? "x " + text(p.rescale_factor) : "none");
    add("preprocess", "mean", p.normalize ? text(p.mean) : "none");
    add("preprocess", "std", p.normalize ? text(p.std) : "none");

    for (const std::string& note : config.notes)
        add("notes", "config", note);
    for (const std::string& note : p.notes)
        add("notes", "preprocess", note);
}

} // namespace

OpenedModel open_model(const std::filesystem::path& directory, Backend& backend, Numerics numerics,
                       const ChooseBatches& choose_batches) {
    const loader::ModelConfig config = loader::read_model_config(directory);
    OpenedModel opened;
    opened.preprocessor = loader::read_preprocessor(directory);
    const loader::Preprocessor& p = opened.preprocessor;
    const int size = config.clip_vision.image_size;
    if (p.output_height() != size || p.output_width() != size)
        throw Error(ErrorCode::model, "the preprocessor gives " + text(p.output_height()) + " x " +
                                          text(p.output_width()) + " pixels, but image_size is " +
                                          text(size) +
                                          " in config.json: they contradict each other");

    try {
        Checkpoint checkpoint(loader::Safetensors::open_directory(directory));
        auto model = std::make_unique<ClipVision>(config.clip_vision, p.normalization_table(),
                                                  checkpoint, backend, numerics,
                                                  choose_batches(shape_of(config.clip_vision)));
        // A `clip` checkpoint also holds the text tower; old files hold a table of 0, 1, 2, ...
        const bool with_text = config.model_type == "clip";
        checkpoint.refuse_unexpected([&](std::string_view name) {
            return name.ends_with("position_ids") ||
                   (with_text && (name.starts_with("text_model.") ||
                                  name == "text_projection.weight" || name == "logit_scale"));
        });

        ModelInfo& info = opened.info;
        info.family = "clip";
        info.path = directory;
        info.dim = model->dim();
        info.image_height = model->image_height();
        info.image_width = model->image_width();
        info.parameters = checkpoint.parameters_taken();
        info.gflop = model->gflop();
        info.ops = model->plans();
        for (OpPlan& plan : info.ops) {
            plan.target = backend.properties().kind + " " + backend.properties().isa;
            plan.why = "the backend's choice for this instruction set";
        }
        add_facts(info, config, p, checkpoint.file());
        opened.model = std::move(model);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::model)
            throw;
        const std::string message = error.what(); // the loader names the directory itself
        if (message.find(directory.string()) != std::string::npos)
            throw;
        throw Error(ErrorCode::model, "model '" + directory.string() + "': " + message);
    }
    return opened;
}

} // namespace yeoul

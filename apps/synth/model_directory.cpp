#include "apps/synth/model_directory.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <unistd.h>

#include <yeoul/error.h>

#include "apps/synth/clip_tensors.h"
#include "apps/synth/weights_file.h"

namespace yeoul::synth {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, const std::string& reason) {
    throw Error(ErrorCode::io, "'" + path.string() + "' cannot be written: " + reason);
}

std::string_view torch_name(WeightFormat format) {
    switch (format) {
    case WeightFormat::fp32:
        return "float32";
    case WeightFormat::fp16:
        return "float16";
    case WeightFormat::bf16:
        return "bfloat16";
    }
    return "?";
}

std::string config_json(const loader::ClipVisionConfig& config, WeightFormat format) {
    std::ostringstream json;
    json << "{\n"
         << "  \"architectures\": [\"CLIPVisionModelWithProjection\"],\n"
         << "  \"attention_dropout\": 0.0,\n"
         << "  \"dtype\": \"" << torch_name(format) << "\",\n"
         << "  \"hidden_act\": \"" << config.hidden_act << "\",\n"
         << "  \"hidden_size\": " << config.hidden_size << ",\n"
         << "  \"image_size\": " << config.image_size << ",\n"
         << "  \"initializer_factor\": 1.0,\n"
         << "  \"initializer_range\": 0.02,\n"
         << "  \"intermediate_size\": " << config.intermediate_size << ",\n"
         << "  \"layer_norm_eps\": " << config.layer_norm_eps << ",\n"
         << "  \"model_type\": \"clip_vision_model\",\n"
         << "  \"num_attention_heads\": " << config.num_attention_heads << ",\n"
         << "  \"num_channels\": " << config.num_channels << ",\n"
         << "  \"num_hidden_layers\": " << config.num_hidden_layers << ",\n"
         << "  \"patch_size\": " << config.patch_size << ",\n"
         << "  \"projection_dim\": " << config.projection_dim << "\n"
         << "}\n";
    return json.str();
}

// CLIP's own: shortest edge, bicubic, centre crop, OpenAI's mean and std.
std::string preprocessor_json(int image_size) {
    std::ostringstream json;
    json << "{\n"
         << "  \"crop_size\": {\"height\": " << image_size << ", \"width\": " << image_size
         << "},\n"
         << "  \"do_center_crop\": true,\n"
         << "  \"do_convert_rgb\": true,\n"
         << "  \"do_normalize\": true,\n"
         << "  \"do_rescale\": true,\n"
         << "  \"do_resize\": true,\n"
         << "  \"image_mean\": [0.48145466, 0.4578275, 0.40821073],\n"
         << "  \"image_processor_type\": \"CLIPImageProcessor\",\n"
         << "  \"image_std\": [0.26862954, 0.26130258, 0.27577711],\n"
         << "  \"resample\": 3,\n"
         << "  \"rescale_factor\": 0.00392156862745098,\n"
         << "  \"size\": {\"shortest_edge\": " << image_size << "}\n"
         << "}\n";
    return json.str();
}

void write_text(const fs::path& file, const std::string& text) {
    std::ofstream out(file, std::ios::binary);
    out << text;
    out.close();
    if (!out)
        fail(file, std::strerror(errno));
}

/// A directory beside its final place; removed unless it was moved there.
class PartialDirectory {
public:
    explicit PartialDirectory(const fs::path& target) {
        fs::path absolute = fs::absolute(target).lexically_normal();
        if (!absolute.has_filename())
            absolute = absolute.parent_path();
        std::error_code error;
        fs::create_directories(absolute.parent_path(), error);
        if (error)
            fail(absolute.parent_path(), error.message());
        std::string name =
            (absolute.parent_path() / ("." + absolute.filename().string() + ".partial-XXXXXX"))
                .string();
        if (!::mkdtemp(name.data()))
            fail(target, std::strerror(errno));
        path_ = name;
        fs::permissions(path_, fs::perms(0755), error);
    }
    ~PartialDirectory() {
        std::error_code ignored;
        if (!path_.empty())
            fs::remove_all(path_, ignored);
    }
    PartialDirectory(const PartialDirectory&) = delete;
    PartialDirectory& operator=(const PartialDirectory&) = delete;

    const fs::path& path() const { return path_; }

    void move_to(const fs::path& target) {
        std::error_code error;
        if (!fs::exists(target) || fs::is_empty(target)) {
            fs::rename(path_, target, error);
            if (!error) {
                path_.clear();
                return;
            }
        }
        fs::create_directories(target, error);
        for (const char* file : {"config.json", "preprocessor_config.json", "model.safetensors"}) {
            fs::rename(path_ / file, target / file, error);
            if (error)
                fail(target / file, error.message());
        }
    }

private:
    fs::path path_;
};

} // namespace

WrittenDirectory write_clip_directory(const loader::ClipVisionConfig& config,
                                      const DirectoryOptions& options, const fs::path& directory) {
    std::error_code error;
    if (fs::exists(directory, error)) {
        if (!fs::is_directory(directory, error))
            throw Error(ErrorCode::invalid_argument, "--output is '" + directory.string() +
                                                         "', which is a file; name a directory");
        if (!fs::is_empty(directory, error) && !options.force)
            throw Error(ErrorCode::invalid_argument,
                        "--output is '" + directory.string() +
                            "', which is not empty; name another directory or add --force");
    }
    PartialDirectory partial(directory);
    WrittenDirectory written;
    const std::vector<TensorDraw> tensors = clip_tensors(config);
    for (const TensorDraw& tensor : tensors)
        written.parameters += tensor.elements();
    write_text(partial.path() / "config.json", config_json(config, options.format));
    write_text(partial.path() / "preprocessor_config.json", preprocessor_json(config.image_size));
    written.bytes = write_weights_file(tensors, options, partial.path() / "model.safetensors");
    partial.move_to(directory);
    return written;
}

} // namespace yeoul::synth

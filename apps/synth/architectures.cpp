#include "apps/synth/architectures.h"

#include <yeoul/error.h>

#include "apps/cli/command_line.h"
#include "loader/nearest_name.h"

namespace yeoul::synth {
namespace {

struct Architecture {
    std::string_view name;
    int hidden_size, intermediate_size, layers, heads, image_size, patch_size, projection_dim;
};

// config.json of openai/clip-* on the Hugging Face hub.
constexpr Architecture kArchitectures[] = {
    {"clip-vit-base-patch32", 768, 3072, 12, 12, 224, 32, 512},
    {"clip-vit-base-patch16", 768, 3072, 12, 12, 224, 16, 512},
    {"clip-vit-large-patch14", 1024, 4096, 24, 16, 224, 14, 768},
    {"clip-vit-large-patch14-336", 1024, 4096, 24, 16, 336, 14, 768},
};

} // namespace

std::vector<std::string> architecture_names() {
    std::vector<std::string> names;
    for (const Architecture& known : kArchitectures)
        names.emplace_back(known.name);
    return names;
}

loader::ClipVisionConfig architecture(std::string_view name) {
    for (const Architecture& known : kArchitectures)
        if (known.name == name) {
            loader::ClipVisionConfig config;
            config.hidden_size = known.hidden_size;
            config.intermediate_size = known.intermediate_size;
            config.num_hidden_layers = known.layers;
            config.num_attention_heads = known.heads;
            config.image_size = known.image_size;
            config.patch_size = known.patch_size;
            config.projection_dim = known.projection_dim;
            return config;
        }
    const std::vector<std::string> names = architecture_names();
    const std::vector<std::string> nearest = loader::nearest_names(name, names, 1);
    throw Error(ErrorCode::invalid_argument,
                "--arch is '" + std::string(name) + "', must be " + cli::alternatives(names) +
                    (nearest.empty() ? "" : "; did you mean '" + nearest[0] + "'?"));
}

} // namespace yeoul::synth

#include "loader/clip_config.h"

#include <algorithm>
#include <array>
#include <vector>

#include "loader/nearest_name.h"

namespace yeoul::loader {
namespace {

constexpr std::array<std::string_view, 5> kActivations{"gelu", "gelu_new", "gelu_pytorch_tanh",
                                                       "quick_gelu", "relu"};

const Json* object_or_null(const Json& json, const JsonFields& top, std::string_view key) {
    const Json* value = json.find(key);
    if (value == nullptr || value->is_null())
        return nullptr;
    if (value->object() == nullptr)
        top.refuse(key, value, "must be an object");
    return value;
}

} // namespace

std::string known_and_nearest(const std::string& name, std::span<const std::string_view> names) {
    const std::vector<std::string> known(names.begin(), names.end());
    std::string text = "known are ";
    for (size_t i = 0; i < known.size(); ++i)
        text += (i ? ", " : "") + known[i];
    const auto nearest = nearest_names(name, known, 1);
    return nearest.empty() ? text : text + "; nearest is " + nearest.front();
}

std::string read_activation(const JsonFields& fields) {
    const std::string name = fields.text("hidden_act", "quick_gelu");
    if (std::find(kActivations.begin(), kActivations.end(), name) == kActivations.end())
        fields.refuse("hidden_act", fields.find("hidden_act"),
                      known_and_nearest(name, kActivations));
    if (name != "gelu_new")
        return name;
    fields.note("hidden_act gelu_new is the same function as gelu_pytorch_tanh");
    return "gelu_pytorch_tanh";
}

const Json* tower_config(const Json& json, const JsonFields& top, std::string& key,
                         std::string_view model_type) {
    const Json* tower = object_or_null(json, top, key);
    const std::string legacy_key = key + "_dict";
    if (const Json* legacy = object_or_null(json, top, legacy_key)) {
        if (tower != nullptr)
            top.note(legacy_key + " (legacy) replaces " + key);
        tower = legacy;
        key = legacy_key;
    }
    if (tower == nullptr) {
        top.note(key + " is absent, every key takes its default");
        return nullptr;
    }
    if (const Json* nested = tower->find("model_type")) {
        const std::string* type = nested->string();
        if (type == nullptr || (!type->empty() && *type != model_type))
            top.refuse(key + ".model_type", nested, "must be \"" + std::string(model_type) + "\"");
    }
    return tower;
}

} // namespace yeoul::loader

#include "loader/preprocessor.h"

#include <algorithm>
#include <cmath>
#include <system_error>

#include <yeoul/error.h>

#include "loader/json.h"
#include "loader/json_fields.h"
#include "loader/model_directory.h"

namespace yeoul::loader {
namespace {

constexpr int kMaxEdge = 8192;
constexpr std::array<std::string_view, 6> kResampleNames{"nearest", "lanczos", "bilinear",
                                                         "bicubic", "box",     "hamming"};
constexpr std::array<std::string_view, 5> kClipProcessors{
    "CLIPImageProcessor", "CLIPImageProcessorPil", "CLIPImageProcessorFast", "CLIPFeatureExtractor",
    "CLIPProcessor"};
// Steps that the CLIP processor has; any other do_... that is true would be left out silently.
constexpr std::array<std::string_view, 5> kSteps{"do_resize", "do_center_crop", "do_rescale",
                                                 "do_normalize", "do_convert_rgb"};

template <size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

// transformers keeps an explicit null, and then takes it for false.
bool read_step(const JsonFields& fields, std::string_view key) {
    const Json* value = fields.find(key);
    if (value != nullptr && value->is_null()) {
        fields.note(std::string(key) + " is null, taken as false");
        return false;
    }
    return fields.flag(key, true);
}

void refuse_other_processors(const JsonFields& fields, const Json& json) {
    for (std::string_view key : {"image_processor_type", "feature_extractor_type"}) {
        const Json* type = fields.find(key);
        if (type == nullptr || type->is_null())
            continue;
        if (type->string() == nullptr || !contains(kClipProcessors, *type->string()))
            fields.refuse(key, type, "only CLIPImageProcessor is supported");
        if (*type->string() == "CLIPImageProcessorFast")
            fields.note("CLIPImageProcessorFast is computed as CLIPImageProcessor with Pillow");
    }
    for (const auto& [key, value] : *json.object()) {
        const bool step = key.rfind("do_", 0) == 0 && !contains(kSteps, key);
        const bool off = value.is_null() || (value.boolean() != nullptr && !*value.boolean());
        if (step && !off)
            fields.refuse(key, &value, "this step is not supported");
        if (key == "use_square_size" && !off)
            fields.refuse(key, &value, "write \"size\": {\"height\": N, \"width\": N} instead");
        if ((key == "crop_pct" || key == "pad_size") && !value.is_null())
            fields.refuse(key, &value, "CLIP's processor has no such step, remove it");
    }
}

// Legacy int, [height, width], or an object of exactly two keys; false when it is none of them.
bool read_rectangle(const Json& value, int& height, int& width) {
    if (integer_within(value, 1, kMaxEdge, height)) {
        width = height;
        return true;
    }
    if (const Json::Array* pair = value.array())
        return pair->size() == 2 && integer_within((*pair)[0], 1, kMaxEdge, height) &&
               integer_within((*pair)[1], 1, kMaxEdge, width);
    const Json* rows = value.find("height");
    const Json* columns = value.find("width");
    return rows != nullptr && columns != nullptr && value.object()->size() == 2 &&
           integer_within(*rows, 1, kMaxEdge, height) &&
           integer_within(*columns, 1, kMaxEdge, width);
}

constexpr std::string_view kEdges = "from 1 to 8192";
static_assert(kMaxEdge == 8192, "kEdges names it");

void read_size(const JsonFields& fields, Preprocessor& result) {
    const Json* size = fields.find("size");
    if (size == nullptr) {
        fields.note("size is absent, taken as shortest edge 224");
        return;
    }
    const Json* square = fields.find("default_to_square");
    const bool to_square = square != nullptr && square->boolean() != nullptr && *square->boolean();
    const Json* edge = size->find("shortest_edge");
    if (size->integer() != nullptr && !to_square) {
        if (!integer_within(*size, 1, kMaxEdge, result.shortest_edge))
            fields.refuse("size", size, "must be " + std::string(kEdges));
        fields.note("size " + size->describe() + " (legacy) is the shortest edge");
    } else if (edge != nullptr) {
        if (size->object()->size() != 1)
            fields.refuse("size", size,
                          "shortest_edge together with another key leaves the output size open");
        if (!integer_within(*edge, 1, kMaxEdge, result.shortest_edge))
            fields.refuse("size.shortest_edge", edge, "must be an integer " + std::string(kEdges));
    } else if (read_rectangle(*size, result.resize_height, result.resize_width)) {
        result.resize = Preprocessor::Resize::exact;
        if (size->object() == nullptr)
            fields.note("size (legacy) is height " + std::to_string(result.resize_height) +
                        ", width " + std::to_string(result.resize_width));
    } else {
        fields.refuse("size", size,
                      "must be {\"shortest_edge\": N} or {\"height\": N, \"width\": N}, N " +
                          std::string(kEdges));
    }
}

void read_resample(const JsonFields& fields, Preprocessor& result) {
    const Json* value = fields.find("resample");
    if (value == nullptr) {
        fields.note("resample is absent, taken as 3 (bicubic)");
        return;
    }
    int number = 0;
    if (!integer_within(*value, 0, static_cast<int>(kResampleNames.size()) - 1, number))
        fields.refuse("resample", value, "must be 2 (bilinear) or 3 (bicubic)");
    result.resample = static_cast<Resample>(number);
    if (result.resample != Resample::bilinear && result.resample != Resample::bicubic)
        fields.refuse("resample", value,
                      std::string(kResampleNames[static_cast<size_t>(number)]) +
                          " is not supported, must be 2 (bilinear) or 3 (bicubic)");
}

void read_crop(const JsonFields& fields, Preprocessor& result) {
    const Json* size = fields.find("crop_size");
    if (size == nullptr)
        fields.note("crop_size is absent, taken as 224");
    else if (!read_rectangle(*size, result.crop_height, result.crop_width))
        fields.refuse("crop_size", size,
                      "must be {\"height\": N, \"width\": N}, N " + std::string(kEdges));
    else if (size->object() == nullptr)
        fields.note("crop_size (legacy) is height " + std::to_string(result.crop_height) +
                    ", width " + std::to_string(result.crop_width));
}

// A list of three numbers, or one number for all channels.
void read_channels(const JsonFields& fields, std::string_view key, double above,
                   std::array<double, 3>& result) {
    const Json* value = fields.find(key);
    if (value == nullptr) {
        fields.note(std::string(key) + " is absent, taken as that of OpenAI's CLIP");
        return;
    }
    const std::string wanted =
        "must be three numbers, or one, above " + Json(above).describe() + " and at most 1000";
    const auto take = [&](const Json& number, double& channel) {
        if (!number.is_number() || !(number.number() > above && number.number() <= 1000))
            fields.refuse(key, &number, wanted);
        channel = number.number();
    };
    if (value->is_number()) {
        for (double& channel : result)
            take(*value, channel);
        return;
    }
    if (value->array() == nullptr || value->array()->size() != result.size())
        fields.refuse(key, value, wanted);
    for (size_t channel = 0; channel < result.size(); ++channel)
        take((*value->array())[channel], result[channel]);
}

Preprocessor parse_flat(const Json& json, const std::string& label, const std::string& prefix) {
    Preprocessor result;
    const JsonFields fields(&json, label, prefix, result.notes);
    refuse_other_processors(fields, json);

    if (read_step(fields, "do_resize")) {
        read_size(fields, result);
        read_resample(fields, result);
    } else {
        result.resize = Preprocessor::Resize::none;
    }
    result.center_crop = read_step(fields, "do_center_crop");
    if (result.center_crop)
        read_crop(fields, result);
    else if (result.resize == Preprocessor::Resize::none)
        fields.refuse("do_resize", fields.find("do_resize"),
                      "together with do_center_crop false it leaves the output size open");
    else if (result.resize == Preprocessor::Resize::shortest_edge)
        fields.refuse("do_center_crop", fields.find("do_center_crop"),
                      "with a shortest edge it leaves the output size open, give size as "
                      "{\"height\": N, \"width\": N}");

    result.rescale = read_step(fields, "do_rescale");
    if (result.rescale)
        result.rescale_factor = fields.number("rescale_factor", result.rescale_factor, 0.0, 1000.0);
    result.normalize = read_step(fields, "do_normalize");
    if (result.normalize) {
        read_channels(fields, "image_mean", -1000.0, result.mean);
        read_channels(fields, "image_std", 0.0, result.std);
    }
    const Json* convert = fields.find("do_convert_rgb");
    if (convert != nullptr && !(convert->boolean() != nullptr && *convert->boolean()))
        fields.note("do_convert_rgb is " + convert->describe() +
                    ", photos become RGB all the same");
    return result;
}

Preprocessor parse(const Json& json, const std::string& label) {
    if (json.object() == nullptr)
        throw Error(ErrorCode::model, label + ": is " + json.describe() + ", must be an object");
    const Json* nested = json.find("image_processor");
    if (nested == nullptr)
        return parse_flat(json, label, "");
    if (nested->object() == nullptr)
        throw Error(ErrorCode::model,
                    label + ": image_processor is " + nested->describe() + ", must be an object");
    return parse_flat(*nested, label, "image_processor.");
}

} // namespace

Preprocessor parse_preprocessor(std::string_view text, const std::string& label) {
    return parse(parse_json(text, label), label);
}

// transformers' order: the nested form first; an older processor_config.json without it says
// nothing about images.
Preprocessor read_preprocessor(const std::filesystem::path& directory) {
    require_model_directory(directory);
    const auto nested = directory / "processor_config.json";
    const auto flat = directory / "preprocessor_config.json";
    std::error_code error;
    if (std::filesystem::exists(nested, error)) {
        const Json json = parse_json(read_text_file(nested), nested.string());
        if (json.find("image_processor") != nullptr || json.object() == nullptr)
            return parse(json, nested.string());
    }
    if (!std::filesystem::exists(flat, error))
        throw Error(ErrorCode::model, directory.string() +
                                          ": neither preprocessor_config.json nor image_processor "
                                          "in processor_config.json is there; fetch one, it says "
                                          "how photos are resized and normalized");
    return parse_preprocessor(read_text_file(flat), flat.string());
}

} // namespace yeoul::loader

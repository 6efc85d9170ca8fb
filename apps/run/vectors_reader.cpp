#include "apps/run/vectors_reader.h"

#include <charconv>
#include <climits>
#include <cstring>

#include <yeoul/error.h>

#include "loader/json.h"
#include "loader/narrow.h"
#include "loader/npy.h"
#include "loader/safetensors.h"

namespace yeoul::run {
namespace {

std::vector<std::string> read_paths(const loader::Safetensors& file, const std::string& label) {
    std::vector<std::string> paths;
    const auto text = file.metadata().find("paths");
    if (text == file.metadata().end())
        return paths;
    const loader::Json json = loader::parse_json(text->second, label + ": paths");
    YEOUL_REQUIRE(json.array() != nullptr, label << ": paths is no list");
    for (const loader::Json& path : *json.array()) {
        YEOUL_REQUIRE(path.string() != nullptr, label << ": paths holds " << path.describe());
        paths.push_back(*path.string());
    }
    return paths;
}

Vectors read_safetensors(const std::filesystem::path& path) {
    const std::string label = "'" + path.string() + "'";
    const loader::Safetensors file = loader::Safetensors::open_file(path);
    const loader::TensorInfo* tensor = file.find("image_embeds");
    if (tensor == nullptr && file.tensors().size() == 1)
        tensor = &file.tensors().begin()->second;
    YEOUL_REQUIRE(tensor != nullptr, label << " holds no tensor image_embeds");
    YEOUL_REQUIRE(tensor->shape.size() == 2 && tensor->shape[1] > 0,
                  label << ": " << tensor->name << " is no matrix of vectors, (rows, dim)");
    const View view = loader::view(*tensor);
    Vectors vectors{.values = {},
                    .paths = read_paths(file, label),
                    .rows = view.shape[0],
                    .dim = view.shape[1]};
    vectors.values.resize(view.elements());
    if (view.dtype == DType::f32)
        std::memcpy(vectors.values.data(), view.data, view.bytes());
    else
        for (size_t i = 0; i < vectors.values.size(); ++i) {
            uint16_t bits;
            std::memcpy(&bits, static_cast<const char*>(view.data) + 2 * i, sizeof bits);
            vectors.values[i] =
                view.dtype == DType::f16 ? loader::from_fp16(bits) : loader::from_bf16(bits);
        }
    YEOUL_REQUIRE(
        vectors.paths.empty() || vectors.paths.size() == static_cast<size_t>(vectors.rows),
        label << " has " << vectors.rows << " vectors and " << vectors.paths.size() << " paths");
    return vectors;
}

} // namespace

Vectors read_vectors(const std::filesystem::path& file) {
    const std::string extension = file.extension().string();
    if (extension == ".safetensors")
        return read_safetensors(file);
    YEOUL_REQUIRE(extension == ".npy",
                  "'" << file.string() << "' must be a .npy or a .safetensors");
    loader::Matrix matrix = loader::read_npy(file);
    return {
        .values = std::move(matrix.values), .paths = {}, .rows = matrix.rows, .dim = matrix.dim};
}

double parse_cosine(const std::string& text, const std::string& label) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    YEOUL_REQUIRE(error == std::errc() && end == text.data() + text.size() && value > 0 &&
                      value <= 1,
                  label << " is '" << text << "', must be a cosine above 0 and at most 1");
    return value;
}

} // namespace yeoul::run

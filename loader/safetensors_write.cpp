#include <set>

#include <yeoul/error.h>

#include "loader/json.h"
#include "loader/output_file.h"
#include "loader/safetensors.h"
#include "loader/safetensors_header.h"

namespace yeoul::loader {
namespace {

std::string shape_json(const std::vector<int64_t>& shape) {
    std::string text = "[";
    for (size_t axis = 0; axis < shape.size(); ++axis)
        text += (axis ? "," : "") + std::to_string(shape[axis]);
    return text + "]";
}

void require_writable(const TensorToWrite& tensor) {
    const std::string what = "tensor " + in_quotes(tensor.name);
    YEOUL_REQUIRE(tensor.name != "__metadata__", what << " has the name of the metadata");
    const int bits = dtype_bits(tensor.dtype);
    YEOUL_REQUIRE(bits > 0, what << " has the unknown dtype " << in_quotes(tensor.dtype));
    for (int64_t extent : tensor.shape)
        YEOUL_REQUIRE(extent >= 0, what << " has an extent of " << extent);
    size_t bytes = 0;
    YEOUL_REQUIRE(tensor_bytes(bits, tensor.shape, bytes) && bytes == tensor.data.size(),
                  what << " of shape " << shape_json(tensor.shape) << " and dtype " << tensor.dtype
                       << " comes with " << tensor.data.size() << " bytes of data");
}

std::string header_json(const std::vector<TensorToWrite>& tensors,
                        const std::map<std::string, std::string>& metadata) {
    std::string json;
    std::set<std::string> names;
    if (!metadata.empty()) {
        for (const auto& [key, value] : metadata) {
            const std::string name = json_quote(key);
            YEOUL_REQUIRE(names.insert(name).second, "metadata " << name << " is given twice");
            json += (json.empty() ? "\"__metadata__\":{" : ",") + name + ":" + json_quote(value);
        }
        json += "}";
    }
    names.clear();
    size_t offset = 0;
    for (const TensorToWrite& tensor : tensors) {
        require_writable(tensor);
        const std::string name = json_quote(tensor.name);
        YEOUL_REQUIRE(names.insert(name).second, "tensor " << name << " is given twice");
        const size_t end = offset + tensor.data.size();
        json += (json.empty() ? "" : ",") + name + ":{\"dtype\":" + json_quote(tensor.dtype) +
                ",\"shape\":" + shape_json(tensor.shape) + ",\"data_offsets\":[" +
                std::to_string(offset) + "," + std::to_string(end) + "]}";
        offset = end;
    }
    return "{" + json + "}";
}

} // namespace

void write_safetensors(const std::filesystem::path& file, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
    std::string header = header_json(tensors, metadata);
    header.resize((header.size() + 7) / 8 * 8, ' '); // data starts at a multiple of 8
    YEOUL_REQUIRE(header.size() <= kMaxHeaderBytes, "names and metadata take "
                                                        << header.size() << " bytes, at most "
                                                        << kMaxHeaderBytes << " can be written");
    const uint64_t length = header.size();

    OutputFile output(file);
    output.write(std::as_bytes(std::span(&length, 1)));
    output.write(header);
    for (const TensorToWrite& tensor : tensors)
        output.write(tensor.data);
    output.commit();
}

} // namespace yeoul::loader

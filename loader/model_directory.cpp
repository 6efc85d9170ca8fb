#include "loader/model_directory.h"

#include <system_error>

#include <yeoul/error.h>

#include "loader/mapped_file.h"

namespace yeoul::loader {
namespace {

// The largest that is known to exist, an index of some thousand tensors, is under 1 MB.
constexpr size_t kMaxTextBytes = 64'000'000;

} // namespace

void require_model_directory(const std::filesystem::path& directory) {
    std::error_code error;
    const auto status = std::filesystem::status(directory, error);
    const std::string name = "model directory " + directory.string();
    if (status.type() == std::filesystem::file_type::not_found)
        throw Error(ErrorCode::model, name + " does not exist, give the folder with config.json");
    if (error)
        throw Error(ErrorCode::model, name + " cannot be looked into: " + error.message());
    if (status.type() != std::filesystem::file_type::directory)
        throw Error(ErrorCode::model, name + " is a file, give the folder that holds it");
}

std::string read_text_file(const std::filesystem::path& file) {
    const std::string label = file.string();
    std::error_code error;
    if (std::filesystem::status(file, error).type() == std::filesystem::file_type::not_found)
        throw Error(ErrorCode::model,
                    label + " is missing, a model is a directory from the Hugging Face hub");
    try {
        const MappedFile mapped(file);
        const auto bytes = mapped.bytes();
        if (bytes.size() > kMaxTextBytes)
            throw Error(ErrorCode::model,
                        label + ": " + std::to_string(bytes.size()) + " bytes, more than the " +
                            std::to_string(kMaxTextBytes) + " that such a file may have");
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    } catch (const Error& failure) {
        if (failure.code() != ErrorCode::not_found)
            throw;
        throw Error(ErrorCode::model, failure.what());
    }
}

} // namespace yeoul::loader

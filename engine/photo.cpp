#include "engine/photo.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sys/stat.h>

#include "loader/preprocess.h"

namespace yeoul {
namespace {

/// No file of a photo with so many pixels is larger: 16 bits of four channels, and metadata.
int64_t max_file_bytes(int64_t max_pixels) {
    constexpr int64_t kMostPixels = int64_t{1} << 40, kMetadata = int64_t{64} << 20;
    return 8 * std::min(max_pixels, kMostPixels) + kMetadata;
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
        .count();
}

std::vector<uint8_t> read_file(const std::filesystem::path& path, int64_t max_bytes) {
    struct FileClose {
        void operator()(FILE* file) const { std::fclose(file); }
    };
    const auto cannot_read = [](const std::string& why) {
        return Error(ErrorCode::not_found, "cannot be read: " + why);
    };
    struct stat status {};
    if (stat(path.c_str(), &status) != 0)
        throw cannot_read(std::strerror(errno));
    if (!S_ISREG(status.st_mode))
        throw cannot_read("it is not a regular file");
    if (status.st_size > max_bytes)
        throw Error(ErrorCode::image_too_large,
                    "the file has " + std::to_string(status.st_size) + " bytes, above the " +
                        std::to_string(max_bytes) +
                        " that a photo within --max-pixels can take; raise it");
    const std::unique_ptr<FILE, FileClose> file(std::fopen(path.c_str(), "rb"));
    if (!file)
        throw cannot_read(std::strerror(errno));
    std::vector<uint8_t> bytes(static_cast<size_t>(status.st_size));
    bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file.get()));
    if (std::ferror(file.get()))
        throw cannot_read(std::strerror(errno));
    return bytes;
}

} // namespace

PreparedPhoto prepare_photo(const Photo& photo, const loader::Preprocessor& preprocessor,
                            const loader::DecodeOptions& options, uint8_t* y, Result& result,
                            const loader::TakeSource& take) {
    const auto start = std::chrono::steady_clock::now();
    if (!photo.pixels.empty() || photo.height != 0 || photo.width != 0) {
        const size_t expected = static_cast<size_t>(photo.height) * photo.width * 3;
        if (photo.height <= 0 || photo.width <= 0 || photo.pixels.size() != expected)
            throw Error(ErrorCode::bad_image, std::to_string(photo.pixels.size()) +
                                                  " bytes of pixels are not (" +
                                                  std::to_string(photo.height) + ", " +
                                                  std::to_string(photo.width) + ", 3)");
        if (static_cast<int64_t>(photo.height) * photo.width > options.max_pixels)
            throw Error(ErrorCode::image_too_large,
                        std::to_string(static_cast<int64_t>(photo.height) * photo.width) +
                            " pixels, the limit is " + std::to_string(options.max_pixels));
        const bool resized = loader::preprocess_pixels(photo.pixels.data(), photo.height,
                                                       photo.width, preprocessor, y, take);
        result.width = photo.width;
        result.height = photo.height;
        result.format = "pixels";
        result.times.preprocess_ms = milliseconds_since(start);
        return {{}, resized};
    }

    const bool from_file = photo.encoded.empty() && !photo.path.empty();
    std::vector<uint8_t> file;
    if (from_file) {
        file = read_file(photo.path, max_file_bytes(options.max_pixels));
        result.times.read_ms = milliseconds_since(start);
    }
    const loader::Preprocessed done =
        loader::preprocess(from_file ? file : photo.encoded, preprocessor, options, y, take);
    result.width = done.width;
    result.height = done.height;
    result.format = loader::name(done.format);
    result.times.decode_ms = done.decode_ms;
    result.times.preprocess_ms = done.resize_ms;
    return {done.warning, done.resized};
}

} // namespace yeoul

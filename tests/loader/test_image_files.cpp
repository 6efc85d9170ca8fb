#include "tests/loader/test_image_files.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include "yeoul/error.h"

namespace yeoul::test {
namespace {

const std::string kFolder = YEOUL_SOURCE_DIR "/tests/golden/images/";

std::vector<uint8_t> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    REQUIRE_MESSAGE(file.good(), path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool ends_with(std::string_view text, std::string_view suffix) {
    return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

} // namespace

bool starts_with(std::string_view text, std::string_view prefix) {
    return text.substr(0, prefix.size()) == prefix;
}

loader::ImageFormat GoldenImage::format() const {
    using loader::ImageFormat;
    if (ends_with(name, ".jpg"))
        return ImageFormat::jpeg;
    if (ends_with(name, ".png"))
        return ImageFormat::png;
    if (ends_with(name, ".webp"))
        return ImageFormat::webp;
    if (ends_with(name, ".heic"))
        return ImageFormat::heif;
    return ends_with(name, ".bmp") ? ImageFormat::bmp : ImageFormat::pnm;
}

loader::DecodeOptions GoldenImage::options() const {
    loader::DecodeOptions options;
    options.exif_rotate = upright;
    return options;
}

std::vector<GoldenImage> golden_images() {
    std::ifstream manifest(kFolder + "manifest.txt");
    std::vector<GoldenImage> images;
    std::string line;
    while (std::getline(manifest, line)) {
        GoldenImage image;
        std::istringstream fields(line);
        fields >> image.name >> image.width >> image.height >> image.orientation >>
            image.accepted_cut >> image.warns;
        REQUIRE_MESSAGE(!fields.fail(), line);
        image.upright = image.name.find(".upright.") != std::string::npos;
        image.encoded = read_file(kFolder + image.name);
        image.rgb = read_file(kFolder + image.name + ".rgb");
        REQUIRE(image.rgb.size() == size_t(image.width) * image.height * 3);
        images.push_back(std::move(image));
    }
    REQUIRE(images.size() > 100);
    return images;
}

GoldenImage golden_image(std::string_view name) {
    for (GoldenImage& image : golden_images())
        if (image.name == name)
            return std::move(image);
    FAIL("no golden image of the name " << name);
    return {};
}

bool decoded(loader::ImageFormat format) {
    const auto known = loader::known_extensions();
    const auto has = [&](std::string_view extension) {
        return std::find(known.begin(), known.end(), extension) != known.end();
    };
    if (format == loader::ImageFormat::webp)
        return has(".webp");
    if (format == loader::ImageFormat::heif)
        return has(".heic");
    return true;
}

bool decoded(const GoldenImage& golden) {
    const bool needs_library =
        starts_with(golden.name, "jpeg_arithmetic") || starts_with(golden.name, "jpeg_without_end");
    return decoded(golden.format()) && (!needs_library || decoded_as_pillow(golden.format()));
}

bool decoded_as_pillow(loader::ImageFormat format) {
    const auto versions = loader::decoder_versions();
    const auto has = [&](std::string_view library) {
        return std::any_of(versions.begin(), versions.end(), [&](const std::string& version) {
            return starts_with(version, library);
        });
    };
    if (format == loader::ImageFormat::jpeg)
        return has("libjpeg-turbo");
    if (format == loader::ImageFormat::png)
        return has("libpng");
    return decoded(format);
}

std::string difference(const std::vector<uint8_t>& x, const std::vector<uint8_t>& y, int width) {
    if (x.size() != y.size())
        return "sizes " + std::to_string(x.size()) + " and " + std::to_string(y.size());
    size_t count = 0, first = 0;
    int largest = 0;
    for (size_t i = x.size(); i-- > 0;) {
        if (x[i] == y[i])
            continue;
        ++count;
        first = i;
        largest = std::max(largest, std::abs(x[i] - y[i]));
    }
    if (count == 0)
        return "equal";
    std::ostringstream text;
    text << count << " of " << x.size() << " bytes differ, first at x " << first / 3 % width
         << ", y " << first / 3 / width << ", channel " << first % 3 << " (" << int{x[first]}
         << " and " << int{y[first]} << "), largest difference " << largest;
    return text.str();
}

std::string outcome(const std::vector<uint8_t>& encoded, const loader::DecodeOptions& options) {
    try {
        loader::decode(encoded, options);
        return "pixels";
    } catch (const Error& error) {
        return std::string(name(error.code())) + ": " + error.what();
    }
}

} // namespace yeoul::test

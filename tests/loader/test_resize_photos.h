// The photos and the stored results of tests/golden/resize/make_resize.py.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "loader/preprocessor.h"

namespace yeoul::test {

/// (height, width, 3): waves, noise and hard dots; the same bytes as `pattern` of make_resize.py.
inline std::vector<uint8_t> pattern(int height, int width, uint32_t seed) {
    std::vector<uint8_t> rgb;
    rgb.reserve(static_cast<size_t>(height) * width * 3);
    for (uint32_t y = 0; y < static_cast<uint32_t>(height); ++y)
        for (uint32_t x = 0; x < static_cast<uint32_t>(width); ++x)
            for (uint32_t c = 0; c < 3; ++c) {
                uint32_t h = y * 73856093u ^ x * 19349663u ^ (c + seed) * 83492791u;
                h ^= h >> 16;
                h *= 0x85ebca6bu;
                h ^= h >> 13;
                h *= 0xc2b2ae35u;
                h ^= h >> 16;
                uint32_t wave = (x * (c + 1) + y * (4 - c)) & 511;
                wave = wave < 256 ? wave : 511 - wave;
                const uint32_t value = wave * 3 / 4 + (h & 63);
                const bool dot = (((x >> 3) ^ (y >> 3)) & 3) == 0;
                rgb.push_back(static_cast<uint8_t>(dot ? (h >> 8 & 1) * 255 : value));
            }
    return rgb;
}

inline std::string fnv1a(const std::vector<uint8_t>& bytes) {
    uint64_t value = 0xcbf29ce484222325u;
    for (uint8_t byte : bytes)
        value = (value ^ byte) * 0x100000001b3u;
    std::string text(16, '0');
    for (int digit = 15; digit >= 0; --digit, value >>= 4)
        text[digit] = "0123456789abcdef"[value & 15];
    return text;
}

inline std::filesystem::path golden_folder() {
    return std::filesystem::path(YEOUL_SOURCE_DIR) / "tests/golden/resize";
}

inline std::vector<uint8_t> read_golden(const std::string& name) {
    const std::filesystem::path file = golden_folder() / name;
    std::ifstream stream(file, std::ios::binary);
    if (!stream)
        throw std::runtime_error("cannot read " + file.string());
    return {std::istreambuf_iterator<char>(stream), {}};
}

struct Goldens {
    nlohmann::json document = nlohmann::json::parse(read_golden("resize.json"));
    std::vector<uint8_t> bytes = read_golden("resize.bin");

    /// "" when y is the stored result, else what differs.
    std::string difference(const nlohmann::json& stored, const std::vector<uint8_t>& y) const {
        if (!stored.contains("offset"))
            return fnv1a(y) == stored["fnv1a"].get<std::string>() ? "" : "the hash differs";
        const uint8_t* expected = bytes.data() + stored["offset"].get<size_t>();
        for (size_t i = 0; i < y.size(); ++i)
            if (y[i] != expected[i])
                return "byte " + std::to_string(i) + " is " + std::to_string(y[i]) + ", not " +
                       std::to_string(expected[i]);
        return "";
    }
};

/// The preprocessor that a stored case was made with.
inline loader::Preprocessor preprocessor_of(const nlohmann::json& golden) {
    loader::Preprocessor preprocessor;
    preprocessor.resample = static_cast<loader::Resample>(golden.value("resample", 3));
    if (golden["size"].is_null()) {
        preprocessor.resize = loader::Preprocessor::Resize::none;
    } else if (golden["size"].contains("shortest_edge")) {
        preprocessor.shortest_edge = golden["size"]["shortest_edge"];
    } else {
        preprocessor.resize = loader::Preprocessor::Resize::exact;
        preprocessor.resize_height = golden["size"]["height"];
        preprocessor.resize_width = golden["size"]["width"];
    }
    preprocessor.center_crop = !golden["crop"].is_null();
    if (preprocessor.center_crop) {
        preprocessor.crop_height = golden["crop"]["height"];
        preprocessor.crop_width = golden["crop"]["width"];
    }
    return preprocessor;
}

} // namespace yeoul::test

#include "tests/apps/workplace.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "apps/synth/model_directory.h"

namespace yeoul::test {
namespace {

uint32_t crc32(const std::string& bytes) { // PNG specification, annex D
    uint32_t crc = 0xFFFFFFFF;
    for (char byte : bytes) {
        crc ^= static_cast<uint8_t>(byte);
        for (int bit = 0; bit < 8; ++bit)
            crc = crc & 1 ? 0xEDB88320u ^ (crc >> 1) : crc >> 1;
    }
    return ~crc;
}

std::string big_endian(uint32_t value) {
    return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
            static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::string png_chunk(const std::string& type, const std::string& data) {
    return big_endian(static_cast<uint32_t>(data.size())) + type + data +
           big_endian(crc32(type + data));
}

} // namespace

loader::ClipVisionConfig tiny_config() {
    loader::ClipVisionConfig config;
    config.hidden_size = 32;
    config.intermediate_size = 64;
    config.projection_dim = kDim;
    config.num_hidden_layers = 2;
    config.num_attention_heads = 2;
    config.image_size = 32;
    config.patch_size = 16;
    return config;
}

Workplace::Workplace() {
    synth::write_clip_directory(tiny_config(), {.threads = 1, .label = "tiny"}, model());
}

std::string Workplace::operator/(const std::string& name) const {
    return (directory_.path() / name).string();
}

void Workplace::write(const std::string& name, const std::string& bytes) const {
    const std::filesystem::path path = directory_.path() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream out(path, std::ios::binary);
    out << bytes;
    if (!out.flush())
        throw std::runtime_error("cannot write " + path.string());
}

std::string Workplace::read(const std::string& name) const {
    std::ifstream in(directory_.path() / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::string Workplace::photo(const std::string& name, int seed, int width, int height) const {
    std::string bytes = "P6\n" + std::to_string(width) + " " + std::to_string(height) + "\n255\n";
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            bytes += static_cast<char>(255 * x / width);
            bytes += static_cast<char>(seed * 37 + 100 * y / height);
            bytes += static_cast<char>((x / (3 + seed) + y / 7) % 2 ? 220 : 30);
        }
    write(name, bytes);
    return *this / name;
}

std::string png_header_only(uint32_t width, uint32_t height) {
    return "\x89PNG\r\n\x1a\n" +
           png_chunk("IHDR",
                     big_endian(width) + big_endian(height) + std::string("\x08\x02\0\0\0", 5)) +
           png_chunk("IDAT", std::string(100000, '\0')) + png_chunk("IEND", "");
}

} // namespace yeoul::test

#include "loader/exif.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace yeoul::loader {
namespace {

constexpr uint32_t kOrientationTag = 0x0112;
constexpr uint32_t kByte = 1, kShort = 3, kLong = 4;

class TiffReader {
public:
    explicit TiffReader(std::span<const uint8_t> tiff) : tiff_(tiff) {}

    bool valid() {
        if (tiff_.size() < 8)
            return false;
        big_endian_ = tiff_[0] == 'M' && tiff_[1] == 'M';
        const bool little_endian = tiff_[0] == 'I' && tiff_[1] == 'I';
        return (big_endian_ || little_endian) && number(2, 2) == 42;
    }
    bool holds(size_t offset, size_t bytes) const {
        return offset <= tiff_.size() && bytes <= tiff_.size() - offset;
    }
    uint32_t number(size_t offset, int bytes) const {
        uint32_t value = 0;
        for (int i = 0; i < bytes; ++i)
            value = value << 8 | tiff_[offset + (big_endian_ ? i : bytes - 1 - i)];
        return value;
    }

private:
    std::span<const uint8_t> tiff_;
    bool big_endian_ = false;
};

int valid_or_upright(uint32_t value) {
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

} // namespace

std::optional<int> exif_orientation(std::span<const uint8_t> tiff) {
    constexpr std::string_view kPrefix{"Exif\0\0", 6};
    if (tiff.size() >= kPrefix.size() && std::equal(kPrefix.begin(), kPrefix.end(), tiff.begin()))
        tiff = tiff.subspan(kPrefix.size());
    TiffReader reader(tiff);
    if (!reader.valid())
        return std::nullopt;
    const size_t directory = reader.number(4, 4);
    if (!reader.holds(directory, 2))
        return std::nullopt;
    const uint32_t entries = reader.number(directory, 2);
    for (uint32_t i = 0; i < entries; ++i) {
        const size_t entry = directory + 2 + size_t{12} * i;
        if (!reader.holds(entry, 12))
            return std::nullopt;
        if (reader.number(entry, 2) != kOrientationTag)
            continue;
        const uint32_t type = reader.number(entry + 2, 2);
        if (reader.number(entry + 4, 4) != 1)
            return 1;
        if (type == kByte)
            return valid_or_upright(reader.number(entry + 8, 1));
        if (type == kShort)
            return valid_or_upright(reader.number(entry + 8, 2));
        if (type == kLong)
            return valid_or_upright(reader.number(entry + 8, 4));
        return 1;
    }
    return std::nullopt;
}

std::optional<int> xmp_orientation(std::span<const uint8_t> packet) {
    const std::string_view text(reinterpret_cast<const char*>(packet.data()), packet.size());
    for (const std::string_view key : {"tiff:Orientation=\"", "tiff:Orientation>"}) {
        const size_t at = text.find(key);
        if (at == std::string_view::npos || at + key.size() >= text.size())
            continue;
        const char digit = text[at + key.size()];
        if (digit >= '0' && digit <= '9')
            return valid_or_upright(static_cast<uint32_t>(digit - '0'));
    }
    return std::nullopt;
}

} // namespace yeoul::loader

#include "loader/npy.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <string>

#include <yeoul/error.h>

#include "loader/mapped_file.h"
#include "loader/narrow.h"
#include "loader/output_file.h"

namespace yeoul::loader {

// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
void write_npy(const std::filesystem::path& file, std::span<const float> values, int rows,
               int dim) {
    static_assert(std::endian::native == std::endian::little, "'<f4' is little-endian");
    YEOUL_REQUIRE(rows >= 0 && dim >= 0 &&
                      values.size() == static_cast<size_t>(rows) * static_cast<size_t>(dim),
                  "a matrix of " << rows << " x " << dim << " comes with " << values.size()
                                 << " values");
    std::string description = "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
                              std::to_string(rows) + ", " + std::to_string(dim) + "), }";
    constexpr size_t kPreludeBytes = 10; // magic, version, length
    constexpr size_t kAlignment = 64;
    const size_t used = kPreludeBytes + description.size() + 1;
    description.append((kAlignment - used % kAlignment) % kAlignment, ' ');
    description += '\n';

    std::string prelude("\x93NUMPY\x01\x00", 8);
    prelude += static_cast<char>(description.size() & 0xff);
    prelude += static_cast<char>(description.size() >> 8);

    OutputFile output(file);
    output.write(prelude + description);
    output.write(std::as_bytes(values));
    output.commit();
}

namespace {

// The text after 'KEY': in the dictionary of the header.
std::string_view header_value(std::string_view header, const std::string& key) {
    const size_t at = header.find("'" + key + "':");
    if (at == header.npos)
        return {};
    header.remove_prefix(at + key.size() + 3);
    header.remove_prefix(std::min(header.find_first_not_of(' '), header.size()));
    return header;
}

// A decimal number up to INT_MAX at the begin of `text`, which it leaves behind; -1 for none.
int take_extent(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(", "), text.size()));
    int extent = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), extent);
    if (error != std::errc())
        return -1;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    return extent;
}

} // namespace

Matrix read_npy(const std::filesystem::path& file) {
    const MappedFile mapped(file);
    const std::string_view bytes(reinterpret_cast<const char*>(mapped.bytes().data()),
                                 mapped.bytes().size());
    const auto require = [&](bool holds, const std::string& what) {
        YEOUL_REQUIRE(holds, "'" << file.string() << "' " << what);
    };
    constexpr size_t kMagicBytes = 8;
    require(bytes.size() >= kMagicBytes + 4 && bytes.starts_with("\x93NUMPY"), "is no .npy file");
    const auto byte = [&](size_t at) { return size_t{static_cast<uint8_t>(bytes[at])}; };
    const bool first_version = byte(6) == 1;
    const size_t length_bytes = first_version ? 2 : 4;
    size_t header_bytes = byte(8) | byte(9) << 8;
    if (!first_version)
        header_bytes |= byte(10) << 16 | byte(11) << 24;
    const size_t data = kMagicBytes + length_bytes + header_bytes;
    require(data <= bytes.size(), "ends within its header");
    const std::string_view header = bytes.substr(kMagicBytes + length_bytes, header_bytes);

    const bool half = header_value(header, "descr").starts_with("'<f2'");
    require(half || header_value(header, "descr").starts_with("'<f4'"),
            "is not of little-endian float32 or float16");
    require(header_value(header, "fortran_order").starts_with("False"), "is in Fortran order");
    std::string_view shape = header_value(header, "shape");
    require(shape.starts_with("("), "has no shape");
    shape.remove_prefix(1);
    Matrix matrix;
    matrix.rows = take_extent(shape);
    matrix.dim = take_extent(shape);
    require(matrix.rows >= 0 && matrix.dim >= 1 && shape.starts_with(")"),
            "is not a matrix of vectors, (rows, dim)");
    const size_t count = static_cast<size_t>(matrix.rows) * static_cast<size_t>(matrix.dim);
    require((bytes.size() - data) / (half ? 2 : 4) >= count, "ends before its last vector");
    matrix.values.resize(count);
    if (!half) {
        std::memcpy(matrix.values.data(), bytes.data() + data, count * sizeof(float));
        return matrix;
    }
    for (size_t i = 0; i < count; ++i)
        matrix.values[i] =
            from_fp16(static_cast<uint16_t>(byte(data + 2 * i) | byte(data + 2 * i + 1) << 8));
    return matrix;
}

} // namespace yeoul::loader

#include "loader/npy.h"

#include <bit>
#include <string>

#include <yeoul/error.h>

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

} // namespace yeoul::loader

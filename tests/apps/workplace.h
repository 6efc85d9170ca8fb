// A folder with a tiny model and photos, for one test.
#pragma once

#include <string>

#include "loader/model_config.h"
#include "tests/support/temporary_directory.h"

namespace yeoul::test {

constexpr int kDim = 16; // of the tiny model's vectors

/// 32x32 photos, patches of 16, two blocks of 32 channels.
loader::ClipVisionConfig tiny_config();

class Workplace {
public:
    Workplace();
    /// The absolute path of `name` in it.
    std::string operator/(const std::string& name) const;
    std::string model() const { return *this / "model"; }

    void write(const std::string& name, const std::string& bytes) const;
    std::string read(const std::string& name) const;
    /// A PNM photo; each seed gives another. The path.
    std::string photo(const std::string& name, int seed = 1, int width = 48, int height = 40) const;

private:
    TemporaryDirectory directory_;
};

/// The bytes of a PNG whose header says so and that holds next to nothing else.
std::string png_header_only(uint32_t width, uint32_t height);

} // namespace yeoul::test

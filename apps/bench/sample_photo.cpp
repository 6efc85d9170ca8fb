#include "apps/bench/sample_photo.h"

#include <algorithm>

#include <yeoul/error.h>

#include "apps/synth/draw.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb_image_write.h>
#pragma GCC diagnostic pop

namespace yeoul::bench {
namespace {

constexpr int kQuality = 90; // the highest at which stb_image_write halves the chroma
constexpr int kDiscs = 24;

struct Disc {
    int x, y, radius, colour[3];
};

std::vector<Disc> discs(int height, int width, uint64_t seed) {
    const synth::Draws draws(seed, "discs");
    auto uniform = [&](uint64_t index, int below) {
        const double clamped = std::clamp(draws(index) / 4 + 0.5, 0.0, 0.999);
        return static_cast<int>(clamped * below);
    };
    std::vector<Disc> all;
    for (uint64_t i = 0; i < kDiscs; ++i)
        all.push_back(
            {uniform(8 * i, width),
             uniform(8 * i + 1, height),
             height / 40 + uniform(8 * i + 2, height / 5 + 1),
             {uniform(8 * i + 3, 256), uniform(8 * i + 4, 256), uniform(8 * i + 5, 256)}});
    return all;
}

} // namespace

std::vector<uint8_t> sample_pixels(int height, int width, uint64_t seed) {
    const std::vector<Disc> shapes = discs(height, width, seed);
    const synth::Draws grain(seed, "grain");
    std::vector<uint8_t> pixels(static_cast<size_t>(height) * width * 3);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            int colour[3] = {200 * x / width + 30, 160 * y / height + 50,
                             120 * (x + y) / (width + height) + 70};
            for (const Disc& disc : shapes) {
                const int64_t dx = x - disc.x, dy = y - disc.y;
                if (dx * dx + dy * dy < static_cast<int64_t>(disc.radius) * disc.radius)
                    std::copy(disc.colour, disc.colour + 3, colour);
            }
            const size_t pixel = static_cast<size_t>(y) * width + x;
            const int noise = static_cast<int>(6 * grain(pixel));
            for (int channel = 0; channel < 3; ++channel)
                pixels[3 * pixel + channel] =
                    static_cast<uint8_t>(std::clamp(colour[channel] + noise, 0, 255));
        }
    return pixels;
}

std::vector<uint8_t> sample_jpeg(int height, int width, uint64_t seed) {
    std::vector<uint8_t> jpeg;
    auto append = [](void* context, void* data, int size) {
        const auto* bytes = static_cast<const uint8_t*>(data);
        auto& out = *static_cast<std::vector<uint8_t>*>(context);
        out.insert(out.end(), bytes, bytes + size);
    };
    const std::vector<uint8_t> pixels = sample_pixels(height, width, seed);
    if (!stbi_write_jpg_to_func(append, &jpeg, width, height, 3, pixels.data(), kQuality))
        throw Error(ErrorCode::internal, "the sample photo could not be made");
    return jpeg;
}

} // namespace yeoul::bench

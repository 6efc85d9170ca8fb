// The whole path at full size: synth makes ViT-B/32 (351 MB), embed turns the bundled photos into
// vectors, and they are what transformers gave for that very directory (tests/golden/full).
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "loader/safetensors.h"
#include "tests/apps/program.h"
#include "tests/apps/workplace.h"
#include "tests/support/metrics.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

std::vector<float> image_embeds(const std::string& file) {
    const loader::Safetensors tensors = loader::Safetensors::open_file(file);
    const loader::TensorInfo* info = tensors.find("image_embeds");
    REQUIRE(info != nullptr);
    REQUIRE(info->dtype == "F32");
    std::vector<float> values(info->data.size() / sizeof(float));
    std::memcpy(values.data(), info->data.data(), info->data.size());
    return values;
}

} // namespace

TEST_CASE("full size: ViT-B/32 made by synth gives transformers' vectors of the bundled photos") {
    constexpr size_t kVector = 512, kPhotos = 20;
    const std::string root = YEOUL_SOURCE_DIR;
    const Workplace workplace;
    const std::string model = workplace / "b32", output = workplace / "vectors.safetensors";
    REQUIRE(run({"synth", "--arch", "clip-vit-base-patch32", "--output", model}).code == 0);
    const Outcome outcome =
        run({"embed", root + "/apps/demo/photos", "--model", model, "--output", output});
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);

    const std::vector<float> seen = image_embeds(output);
    const std::vector<float> expected =
        image_embeds(root + "/tests/golden/full/clip-vit-base-patch32.safetensors");
    REQUIRE(expected.size() == kPhotos * kVector);
    REQUIRE(seen.size() == expected.size());
    double worst = 0;
    for (size_t photo = 0; photo < kPhotos; ++photo) {
        CAPTURE(photo);
        const Distance d = distance(std::span(seen).subspan(photo * kVector, kVector),
                                    std::span(expected).subspan(photo * kVector, kVector));
        CHECK(d.finite);
        CHECK(d.cosine >= 0.999999);
        CHECK(d.max_over_rms <= 1e-4);
        worst = std::max(worst, d.max_over_rms);
    }
    MESSAGE("worst max|difference|/rms " << worst);
}

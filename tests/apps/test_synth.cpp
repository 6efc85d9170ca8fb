#include <cmath>
#include <cstring>
#include <doctest/doctest.h>
#include <filesystem>
#include <limits>

#include "apps/synth/architectures.h"
#include "apps/synth/clip_tensors.h"
#include "apps/synth/draw.h"
#include "apps/synth/model_directory.h"
#include "loader/narrow.h"
#include "loader/safetensors.h"
#include "tests/apps/program.h"
#include "tests/apps/workplace.h"

namespace fs = std::filesystem;
using namespace yeoul;
using namespace yeoul::test;

TEST_CASE("synth: draws are the documented function of seed, name and index") {
    // Computed by hand from the formulas in draw.h, with another implementation.
    CHECK(synth::fnv1a64("a") == 0xAF63DC4C8601EC8Cu);
    CHECK(synth::mix(1) == 0x5692161D100B05E5u);
    CHECK(std::lround(synth::Draws(7, "visual_projection.weight")(123456) * 37837.227) == -31164);
    const synth::Draws draws(0, "a");
    CHECK(std::lround(draws(0) * 37837.227) == 14970);
    double sum = 0, squares = 0;
    constexpr int kCount = 100000;
    for (int i = 0; i < kCount; ++i) {
        sum += draws(i);
        squares += draws(i) * draws(i);
    }
    // Five standard errors: 1 / sqrt(n) of the mean, below sqrt(2 / n) of the variance.
    CHECK(std::abs(sum / kCount) < 5 / std::sqrt(kCount));
    CHECK(std::abs(squares / kCount - 1) < 5 * std::sqrt(2.0 / kCount));
    CHECK(synth::Draws(1, "a")(0) != draws(0));
    CHECK(synth::Draws(0, "b")(0) != draws(0));
}

TEST_CASE("synth: narrowing rounds to nearest, ties to even") {
    CHECK(loader::to_bf16(1.0f) == 0x3F80);
    CHECK(loader::to_bf16(1.0f + 1.0f / 256) == 0x3F80); // a tie
    CHECK(loader::to_bf16(1.0f + 3.0f / 256) == 0x3F82); // a tie
    CHECK(loader::to_bf16(-2.5f) == 0xC020);
    CHECK(loader::to_fp16(1.0f) == 0x3C00);
    CHECK(loader::to_fp16(-2.0f) == 0xC000);
    CHECK(loader::to_fp16(65504.0f) == 0x7BFF);
    CHECK(loader::to_fp16(1.0f + 1.0f / 2048) == 0x3C00);       // a tie
    CHECK(loader::to_fp16(1.0f + 3.0f / 2048) == 0x3C02);       // a tie
    CHECK(loader::to_fp16(std::ldexp(1.0f, -24)) == 1);         // the smallest
    CHECK(loader::to_fp16(std::ldexp(1.0f, -25)) == 0);         // a tie
    CHECK(loader::to_fp16(std::ldexp(1023.75f, -24)) == 0x400); // into the normal numbers
    CHECK(loader::to_fp16(0.0f) == 0);
}

TEST_CASE("synth: the same bytes for any number of threads, others for another seed") {
    const TemporaryDirectory temporary;
    auto config = tiny_config();
    config.hidden_size = 640; // tensors of more than one chunk
    config.num_attention_heads = 10;
    auto weights = [&](const char* name, int threads, uint64_t seed) {
        synth::write_clip_directory(config, {.seed = seed, .threads = threads, .label = "test"},
                                    temporary.path() / name);
        const auto file =
            loader::Safetensors::open_file(temporary.path() / name / "model.safetensors");
        std::string bytes;
        for (const auto& [key, tensor] : file.tensors())
            bytes.append(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size());
        return bytes;
    };
    const std::string one = weights("one", 1, 0);
    CHECK(one == weights("three", 3, 0));
    CHECK(one != weights("seed", 3, 1));
}

TEST_CASE("synth: fp16 and bf16 hold the rounded fp32 weights") {
    const TemporaryDirectory temporary;
    auto open = [&](const char* name, synth::WeightFormat format) {
        synth::write_clip_directory(tiny_config(), {.format = format, .label = "test"},
                                    temporary.path() / name);
        return loader::Safetensors::open_directory(temporary.path() / name);
    };
    const auto fp32 = open("fp32", synth::WeightFormat::fp32);
    const auto fp16 = open("fp16", synth::WeightFormat::fp16);
    const auto bf16 = open("bf16", synth::WeightFormat::bf16);
    for (const auto& [name, tensor] : fp32.tensors()) {
        REQUIRE(fp16.find(name));
        REQUIRE(bf16.find(name));
        CHECK(fp16.find(name)->dtype == "F16");
        CHECK(bf16.find(name)->dtype == "BF16");
        for (size_t i = 0; i < tensor.data.size() / 4; ++i) {
            float value;
            uint16_t half, brain;
            std::memcpy(&value, tensor.data.data() + 4 * i, 4);
            std::memcpy(&half, fp16.find(name)->data.data() + 2 * i, 2);
            std::memcpy(&brain, bf16.find(name)->data.data() + 2 * i, 2);
            REQUIRE(half == loader::to_fp16(value));
            REQUIRE(brain == loader::to_bf16(value));
        }
    }
}

TEST_CASE("synth: every architecture has the published number of parameters") {
    // transformers' CLIPVisionModelWithProjection of openai/clip-*
    const std::pair<const char*, int64_t> published[] = {{"clip-vit-base-patch32", 87849216},
                                                         {"clip-vit-base-patch16", 86192640},
                                                         {"clip-vit-large-patch14", 303966208},
                                                         {"clip-vit-large-patch14-336", 304293888}};
    for (const auto& [name, parameters] : published) {
        int64_t sum = 0;
        for (const synth::TensorDraw& tensor : synth::clip_tensors(synth::architecture(name)))
            sum += tensor.elements();
        CHECK_MESSAGE(sum == parameters, name);
    }
}

TEST_CASE("synth: refuses an unknown architecture, a missing flag and a directory in use") {
    const Workplace place;
    const Outcome unknown =
        run({"synth", "--arch", "clip-vit-base-patch23", "--output", place / "new"});
    CHECK(unknown.code == 2);
    CHECK(unknown.err.find("did you mean 'clip-vit-base-patch32'?") != std::string::npos);
    CHECK(!fs::exists(place / "new"));
    CHECK(run({"synth", "--output", place / "new"}).code == 2);
    CHECK(run({"synth", "--arch", "clip-vit-base-patch32"}).code == 2);
    const Outcome used =
        run({"synth", "--arch", "clip-vit-base-patch32", "--output", place.model()});
    CHECK(used.code == 2);
    CHECK(used.err.find("--force") != std::string::npos);
}

TEST_CASE("synth: --force replaces the model and leaves other files, and no half directory") {
    const Workplace place;
    place.write("model/notes.txt", "mine");
    const std::string before = place.read("model/model.safetensors");
    synth::write_clip_directory(tiny_config(), {.seed = 7, .force = true}, place.model());
    CHECK(place.read("model/model.safetensors") != before);
    CHECK(place.read("model/notes.txt") == "mine");
    for (const auto& entry : fs::directory_iterator(place / ""))
        CHECK(entry.path().filename() == "model");
}

TEST_CASE("synth: photos spread, so that an engine that ignores them is seen") {
    const Workplace place;
    const Outcome outcome =
        run({"embed", "--quiet", "--normalize", "--model", place.model(), place.photo("1.ppm", 1),
             place.photo("2.ppm", 5), "--output", place / "v.npy"});
    REQUIRE(outcome.code == 0);
    const std::string bytes = place.read("v.npy");
    REQUIRE(bytes.size() == 128 + 2 * kDim * 4);
    float rows[2][kDim];
    std::memcpy(rows, bytes.data() + 128, sizeof rows);
    double cosine = 0;
    for (int i = 0; i < kDim; ++i)
        cosine += static_cast<double>(rows[0][i]) * rows[1][i];
    CHECK(cosine < 0.999);
}

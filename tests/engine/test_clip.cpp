// CLIP's image tower against the tensors that transformers computes, block by block.
#include <doctest/doctest.h>

#include "loader/json.h"
#include "loader/model_directory.h"
#include "tests/engine/golden.h"

using namespace yeoul;
using namespace yeoul::test;

TEST_CASE("clip: every block of every golden model equals transformers in fp32") {
    const std::unique_ptr<Backend> backend = make_cpu_backend(2);
    const auto models = golden_models("clip");
    REQUIRE(models.size() >= 6);
    for (const std::filesystem::path& directory : models) {
        CAPTURE(directory.filename().string());
        const Golden golden(directory);
        const auto all =
            distances(forward(golden, *backend, backend->numerics("fp32")), golden.reference);
        // pre_layrnorm, each block, the end
        REQUIRE(all.size() == static_cast<size_t>(golden.config.clip_vision.num_hidden_layers) + 2);
        double worst = 0;
        for (const auto& [name, d] : all) {
            CAPTURE(name);
            CAPTURE(d.cosine);
            CAPTURE(d.max_over_rms);
            CHECK(d.finite);
            CHECK(kFp32Gate.passes(d));
            worst = std::max(worst, d.max_over_rms);
        }
        MESSAGE(directory.filename().string() << ": worst max|difference|/rms " << worst);
    }
}

TEST_CASE("clip: bf16 is no further from fp32 than transformers' own bf16") {
    const std::unique_ptr<Backend> backend = make_cpu_backend(2);
    Numerics bf16;
    try {
        bf16 = backend->numerics("bf16");
    } catch (const Error& error) {
        MESSAGE("skipped: " << std::string(error.what()));
        return;
    }
    for (const std::filesystem::path& directory : golden_models("clip")) {
        CAPTURE(directory.filename().string());
        const Golden golden(directory);
        const loader::Json json =
            loader::parse_json(loader::read_text_file(directory / "golden.json"), "golden.json");
        const Tensors seen = forward(golden, *backend, bf16);
        double log_ratio = 0;
        for (const auto& [name, tensor] : seen) {
            CAPTURE(name);
            const double theirs = json.find("bf16")->find(name)->find("rel_l2")->number();
            const double ours = worst_relative_l2(tensor, golden.reference.at(name), golden.photos);
            log_ratio += std::log(ours / theirs) / static_cast<double>(seen.size());
            // Both are sums of independent roundings of three photos: one tensor scatters by tens
            // of percent, their geometric mean over all tensors of a model does not.
            CHECK(ours <= 1.5 * theirs);
        }
        MESSAGE(directory.filename().string()
                << ": error over transformers' bf16 error " << std::exp(log_ratio));
        CHECK(std::exp(log_ratio) <= 1.0);
    }
}

// CLIP's image tower through the CUDA backend on the emulator: fp16 storage, fp32 accumulation.
#include <doctest/doctest.h>

#include <cmath>

#include "tests/engine/altered_backend.h"
#include "tests/engine/golden.h"
#include "tests/support/cuda_backend.h"
#include "tests/support/sanitizers.h"

using namespace yeoul;
using namespace yeoul::test;

TEST_CASE("simt: every block of every golden model equals transformers within fp16") {
    const std::unique_ptr<Backend> backend = make_fp16_backend();
    for (const std::filesystem::path& directory : golden_models("clip")) {
        CAPTURE(directory.filename().string());
        const Golden golden(directory);
        const auto all =
            distances(forward(golden, *backend, backend->numerics("fp16")), golden.reference);
        REQUIRE(all.size() == static_cast<size_t>(golden.config.clip_vision.num_hidden_layers) + 2);
        double worst = 0, least = 1;
        for (const auto& [name, d] : all) {
            CAPTURE(name);
            CAPTURE(d.cosine);
            CAPTURE(d.max_over_rms);
            CHECK(d.finite);
            CHECK(kFp16Gate.passes(d));
            worst = std::max(worst, d.max_over_rms);
            least = std::min(least, d.cosine);
        }
        MESSAGE(directory.filename().string()
                << ": worst max|difference|/rms " << worst << ", least cosine " << least);
    }
}

TEST_CASE("simt: outlier channels of 2e3 and 3e4 in the residual stream keep the gate") {
    const std::unique_ptr<Backend> cpu = make_cpu_backend(2), gpu = make_fp16_backend();
    std::vector<std::filesystem::path> models = golden_models("clip");
    if (kSanitized)
        models.resize(2);
    for (const std::filesystem::path& directory : models)
        for (float outlier : {2e3F, 3e4F}) {
            CAPTURE(directory.filename().string());
            CAPTURE(outlier);
            const Golden golden(directory);
            const auto tensors = [&](Backend& device, const char* precision) {
                AlteredBackend backend(device);
                backend.outlier = outlier;
                return forward(golden, backend, backend.numerics(precision));
            };
            const Tensors reference = tensors(*cpu, "fp32");
            const auto all = distances(tensors(*gpu, "fp16"), reference);
            REQUIRE(all.size() == reference.size());
            REQUIRE(all.size() ==
                    static_cast<size_t>(golden.config.clip_vision.num_hidden_layers) + 2);
            for (const auto& [name, d] : all) {
                CAPTURE(name);
                CAPTURE(d.max_over_rms);
                CAPTURE(d.cosine);
                CHECK(kFp16Gate.passes(d));
            }
            // The outlier is in the stream, not normalized away before it.
            const Tensor& first = reference.at("vision_model.pre_layrnorm");
            CHECK(*std::max_element(first.values.begin(), first.values.end()) > outlier / 2);
        }
}

// CLIP's image tower against the tensors that transformers computes, block by block, and the proof
// that this comparison sees the mistakes that such a forward pass is prone to.
#include <doctest/doctest.h>

#include <functional>

#include "loader/json.h"
#include "loader/model_directory.h"
#include "tests/engine/altered_backend.h"
#include "tests/engine/golden.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

// fp32 on both sides. Sums of up to 3,072 products differ by their order: about
// sqrt(3072) * 2^-24 = 3e-6 relative to the sum of magnitudes, per layer; an order of magnitude
// above that still sees every real mistake (the least of the faults below moves max/rms by 1e-2).
constexpr double kLeastCosine = 0.999999;
constexpr double kMostMaxOverRms = 1e-4;

bool passes(const Distance& d) {
    return d.finite && d.cosine >= kLeastCosine && d.max_over_rms <= kMostMaxOverRms;
}

/// The distance of every tensor that both sides have.
std::map<std::string, Distance> distances(const Tensors& seen, const Tensors& reference) {
    std::map<std::string, Distance> result;
    for (const auto& [name, tensor] : seen) {
        const auto expected = reference.find(name);
        if (expected == reference.end() || expected->second.values.size() != tensor.values.size())
            continue;
        result.emplace(name, distance_by_row(tensor.values, expected->second.values,
                                             static_cast<size_t>(tensor.shape.back())));
    }
    return result;
}

std::filesystem::path quick_gelu_model() {
    for (const std::filesystem::path& directory : golden_clip_models())
        if (loader::read_model_config(directory).clip_vision.hidden_act == "quick_gelu")
            return directory;
    FAIL("no golden model with quick_gelu");
    return {};
}

} // namespace

TEST_CASE("clip: every block of every golden model equals transformers in fp32") {
    const std::unique_ptr<Backend> backend = make_cpu_backend(2);
    const auto models = golden_clip_models();
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
            CHECK(passes(d));
            worst = std::max(worst, d.max_over_rms);
        }
        MESSAGE(directory.filename().string() << ": worst max|difference|/rms " << worst);
    }
}

TEST_CASE("clip: the gate sees each of seven faults") {
    const std::unique_ptr<Backend> cpu = make_cpu_backend(2);
    const Numerics fp32 = cpu->numerics("fp32");
    const auto end_with = [&](const std::function<void(Golden&, AlteredBackend&)>& alter) {
        Golden golden(quick_gelu_model());
        AlteredBackend backend(*cpu);
        alter(golden, backend);
        return distances(forward(golden, backend, fp32), golden.reference).at("image_embeds");
    };
    // The unaltered model passes on the same path.
    REQUIRE(passes(end_with([](Golden&, AlteredBackend&) {})));

    struct Fault {
        std::string name;
        std::function<void(Golden&, AlteredBackend&)> plant;
    };
    const Fault faults[] = {
        {"GELU for QuickGELU",
         [](Golden& golden, AlteredBackend&) { golden.config.clip_vision.hidden_act = "gelu"; }},
        {"uniform attention", // a scale of 0 is refused; this one leaves every logit below 1e-27
         [](Golden&, AlteredBackend& backend) {
             backend.alter_attention = [](AttentionDesc& desc) { desc.scale = 1e-30f; };
         }},
        {"missing scale",
         [](Golden&, AlteredBackend& backend) {
             backend.alter_attention = [](AttentionDesc& desc) { desc.scale = 1; };
         }},
        {"last key dropped",
         [](Golden&, AlteredBackend& backend) { backend.drop_last_key = true; }},
        {"BGR",
         [](Golden& golden, AlteredBackend&) {
             for (size_t i = 0; i < golden.pixels.size(); i += 3)
                 std::swap(golden.pixels[i], golden.pixels[i + 2]);
         }},
        {"no position", [](Golden&, AlteredBackend& backend) { backend.drop_position = true; }},
        {"one block skipped",
         [](Golden& golden, AlteredBackend&) { --golden.config.clip_vision.num_hidden_layers; }},
    };
    int caught = 0;
    for (const Fault& fault : faults) {
        CAPTURE(fault.name);
        const Distance end = end_with(fault.plant);
        MESSAGE(std::string(fault.name)
                << ": cosine " << end.cosine << ", max|difference|/rms " << end.max_over_rms);
        CHECK(end.finite);
        CHECK(end.cosine < kLeastCosine);
        CHECK(end.max_over_rms > 100 * kMostMaxOverRms); // far beyond the gate, not just beyond
        caught += !passes(end);
    }
    CHECK(caught == 7);
}

namespace {

/// Norm of the difference over norm, photo by photo over all of a photo's values; the worst one.
double worst_relative_l2(const Tensor& tensor, const Tensor& reference, int photos) {
    const size_t count = tensor.values.size() / photos;
    double worst = 0;
    for (int i = 0; i < photos; ++i) {
        const Distance d = distance(std::span(tensor.values).subspan(i * count, count),
                                    std::span(reference.values).subspan(i * count, count));
        worst = std::max(worst, d.finite ? d.relative_l2 : INFINITY);
    }
    return worst;
}

} // namespace

TEST_CASE("clip: bf16 is no further from fp32 than transformers' own bf16") {
    const std::unique_ptr<Backend> backend = make_cpu_backend(2);
    Numerics bf16;
    try {
        bf16 = backend->numerics("bf16");
    } catch (const Error& error) {
        MESSAGE("skipped: " << std::string(error.what()));
        return;
    }
    for (const std::filesystem::path& directory : golden_clip_models()) {
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

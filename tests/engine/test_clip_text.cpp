// CLIP's text tower against the tensors that transformers computes, block by block, and what the
// comparison would miss.
#include <doctest/doctest.h>

#include "tests/engine/altered_backend.h"
#include "tests/engine/golden_text.h"
#include "tests/support/cuda_backend.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

void check_blocks(Backend& backend, Numerics numerics, Gate gate) {
    const auto models = golden_models("clip_text");
    REQUIRE(models.size() == 2);
    for (const std::filesystem::path& directory : models) {
        CAPTURE(directory.filename().string());
        const GoldenText golden(directory);
        const auto all = distances(forward_text(golden, backend, numerics), golden.reference);
        // embeddings, each block, the end
        REQUIRE(all.size() == static_cast<size_t>(golden.config.num_hidden_layers) + 2);
        double worst = 0, least = 1;
        for (const auto& [name, d] : all) {
            CAPTURE(name);
            CAPTURE(d.cosine);
            CAPTURE(d.max_over_rms);
            CHECK(gate.passes(d));
            worst = std::max(worst, d.max_over_rms);
            least = std::min(least, d.cosine);
        }
        MESSAGE(directory.filename().string()
                << ": worst max|difference|/rms " << worst << ", least cosine " << least);
    }
}

void check_text_faults(Backend& device, Gate gate) {
    const Numerics numerics = device.numerics("auto");
    const auto end_with = [&](const std::function<void(GoldenText&, AlteredBackend&)>& alter) {
        GoldenText golden(golden_models("clip_text").back());
        AlteredBackend backend(device);
        alter(golden, backend);
        return distances(forward_text(golden, backend, numerics), golden.reference)
            .at("text_embeds");
    };
    REQUIRE(gate.passes(end_with([](GoldenText&, AlteredBackend&) {})));
    struct Fault {
        std::string name;
        std::function<void(GoldenText&, AlteredBackend&)> plant;
    };
    const Fault faults[] = {
        {"GELU for QuickGELU",
         [](GoldenText& golden, AlteredBackend&) { golden.config.hidden_act = "gelu"; }},
        {"not causal",
         [](GoldenText&, AlteredBackend& backend) {
             backend.alter_attention = [](AttentionDesc& desc) { desc.causal = false; };
         }},
        {"missing scale",
         [](GoldenText&, AlteredBackend& backend) {
             backend.alter_attention = [](AttentionDesc& desc) { desc.scale = 1; };
         }},
        {"no position", [](GoldenText&, AlteredBackend& backend) { backend.drop_position = true; }},
        {"pooled at the begin",
         [](GoldenText& golden, AlteredBackend&) {
             golden.config.eos_token_id = golden.ids.front();
         }},
        {"one block skipped",
         [](GoldenText& golden, AlteredBackend&) { --golden.config.num_hidden_layers; }},
    };
    for (const Fault& fault : faults) {
        CAPTURE(fault.name);
        const Distance end = end_with(fault.plant);
        MESSAGE(std::string(fault.name)
                << ": cosine " << end.cosine << ", max|difference|/rms " << end.max_over_rms);
        CHECK(end.finite);
        CHECK(end.cosine < gate.least_cosine);
        CHECK(end.max_over_rms > 5 * gate.most_max_over_rms); // far beyond, not just beyond
    }
}

} // namespace

TEST_CASE("clip text: every block of every golden model equals transformers in fp32") {
    const std::unique_ptr<Backend> backend = make_cpu_backend(2);
    check_blocks(*backend, backend->numerics("fp32"), kFp32Gate);
}

TEST_CASE("simt: every block of every golden text tower equals transformers within fp16") {
    const std::unique_ptr<Backend> backend = make_fp16_backend();
    check_blocks(*backend, backend->numerics("fp16"), kFp16Gate);
}

TEST_CASE("clip text: the gate sees each of six faults") {
    check_text_faults(*make_cpu_backend(2), kFp32Gate);
}

TEST_CASE("simt: the gate sees each of six faults of a text tower in fp16") {
    check_text_faults(*make_fp16_backend(), kFp16Gate);
}

TEST_CASE("clip text: a text is pooled at the first end token, or by the legacy convention at the "
          "first of the largest id") {
    const std::unique_ptr<Backend> backend = make_cpu_backend(1);
    const auto pooled = [&](const std::filesystem::path& directory,
                            const std::vector<int32_t>& ids) {
        const GoldenText golden(directory);
        Checkpoint checkpoint(loader::Safetensors::open_directory(directory));
        const ClipText model(golden.config, checkpoint, *backend, backend->numerics("fp32"), {1});
        return model.pooled_token(ids);
    };
    const auto legacy = golden_models("clip_text").front(),
               current = golden_models("clip_text").back();
    REQUIRE(loader::read_clip_text_config(legacy).pools_largest_id());
    const int32_t end = loader::read_clip_text_config(current).eos_token_id;
    CHECK(pooled(current, {1, end, 900, end}) == 1);
    CHECK(pooled(legacy, {1, 800, 900, 900, 2}) == 2);
    CHECK_THROWS_AS(pooled(current, {1, 2, 3}), Error);
}

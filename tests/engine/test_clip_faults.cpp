// The proof that comparing block by block sees the mistakes that such a forward pass is prone to,
// on the CPU in fp32 and on the emulated GPU in fp16.
#include <doctest/doctest.h>

#include <functional>

#include "tests/engine/altered_backend.h"
#include "tests/engine/golden.h"
#include "tests/support/cuda_backend.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

std::filesystem::path quick_gelu_model() {
    for (const std::filesystem::path& directory : golden_models("clip"))
        if (loader::read_model_config(directory).clip_vision.hidden_act == "quick_gelu")
            return directory;
    FAIL("no golden model with quick_gelu");
    return {};
}

void check_vision_faults(Backend& device, Gate gate) {
    const Numerics numerics = device.numerics("auto");
    const auto end_with = [&](const std::function<void(Golden&, AlteredBackend&)>& alter) {
        Golden golden(quick_gelu_model());
        AlteredBackend backend(device);
        alter(golden, backend);
        return distances(forward(golden, backend, numerics), golden.reference).at("image_embeds");
    };
    // The unaltered model passes on the same path.
    REQUIRE(gate.passes(end_with([](Golden&, AlteredBackend&) {})));

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
        CHECK(end.cosine < gate.least_cosine);
        CHECK(end.max_over_rms > 5 * gate.most_max_over_rms); // far beyond, not just beyond
        caught += !gate.passes(end);
    }
    CHECK(caught == 7);
}

} // namespace

TEST_CASE("clip: the gate sees each of seven faults") {
    check_vision_faults(*make_cpu_backend(2), kFp32Gate);
}

TEST_CASE("simt: the gate sees each of seven faults in fp16") {
    check_vision_faults(*make_fp16_backend(), kFp16Gate);
}

// The memory plan against what engines really hold, on the CPU and on the emulated GPU.
#include <doctest/doctest.h>

#include <array>
#include <cstring>

#include "engine/backends.h"
#include "engine/memory/driver_memory.h"
#include "engine/memory/dry_device.h"
#include "engine/startup.h"
#include "tests/engine/faulty_backend.h"
#include "tests/engine/golden.h"
#include "tests/support/cuda_backend.h"
#include "tests/support/sanitizers.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/text.h"

using namespace yeoul;
using namespace yeoul::test;
namespace fs = std::filesystem;

namespace {

PlanRequest request_for(const Backend& backend, int batch_size, int streams = 1) {
    return {.model = golden_models("clip").front(),
            .numerics = backend.numerics("auto"),
            .batch_size = batch_size,
            .streams = streams,
            .budget_bytes = 0};
}

PlanRequest text_request_for(const Backend& backend, int batch_size) {
    PlanRequest request = request_for(backend, batch_size);
    request.model = golden_root() / "clip_text" / "quick-gelu-77";
    request.text = true;
    return request;
}

/// The emulated GPU under a GPU's name, for which the plan has lines of the driver.
class NamedCuda final : public ForwardingBackend {
public:
    explicit NamedCuda(std::unique_ptr<Backend> inner)
        : ForwardingBackend(*inner), inner_(std::move(inner)), properties_(inner_->properties()) {
        properties_.kind = "cuda";
    }
    const DeviceProperties& properties() const override { return properties_; }

private:
    std::unique_ptr<Backend> inner_;
    DeviceProperties properties_;
};

std::unique_ptr<Backend> make_gpu() {
    return std::make_unique<NamedCuda>(make_fp16_backend());
}

size_t reserved(const CachingAllocator& allocator) {
    return allocator.stats().total.reserved_bytes;
}

std::string refusal_of(Backend& backend, const PlanRequest& request) {
    try {
        prepare(backend, request);
    } catch (const Error& error) {
        CHECK(name(error.code()) == "out_of_memory");
        return error.what();
    }
    FAIL_CHECK("it started");
    return {};
}

/// What is printed adds up, tag by tag, to what the allocators hold.
void check_lines(const MemoryPlan& plan, const AllocatorStats& memory,
                 const AllocatorStats& pinned) {
    std::array<size_t, kMemoryTags> by_tag{};
    for (const PlanLine& line : plan.lines) {
        if (line.owner == PlanLine::Owner::driver)
            continue;
        REQUIRE(line.tag.has_value());
        CHECK(line.pinned == (line.tag == MemoryTag::staging));
        by_tag[static_cast<size_t>(*line.tag)] += line.bytes;
    }
    for (int tag = 0; tag < kMemoryTags; ++tag) {
        CAPTURE(tag);
        CHECK(by_tag[tag] == memory.by_tag[tag].reserved_bytes + pinned.by_tag[tag].reserved_bytes);
    }
}

void check_text_plan(Backend& device) {
    FaultyBackend backend(device);
    const PlanRequest request = text_request_for(backend, 4);
    const MemoryPlan plan = plan_memory(backend, request);
    CHECK(backend.calls == 0);
    const Prepared prepared = prepare(backend, request);
    const EngineMemory& memory = *prepared.changing;
    CHECK(plan.text_device_bytes > 0);
    CHECK(reserved(memory.device()) == plan.text_device_bytes);
    CHECK(reserved(memory.pinned()) == plan.text_pinned_bytes);
    const AllocatorStats device_stats = memory.device().stats();
    const MemoryCounts& weights =
        device_stats.by_tag[static_cast<size_t>(MemoryTag::weights)]; // lie in one piece
    CHECK(weights.allocated_bytes == plan.packed_text_bytes);
    CHECK(weights.reserved_bytes == BlockPolicy::segment_bytes(plan.packed_text_bytes));
    CHECK((plan.host_memory ? memory.peak_bytes() : memory.device().stats().peak_reserved_bytes) ==
          plan.text_peak_bytes);
    CHECK(prepared.memory->reserved_bytes() + memory.reserved_bytes() == plan.owned_bytes());
    size_t lines = 0;
    for (const PlanLine& line : plan.lines)
        lines += line.owner == PlanLine::Owner::ours ? line.bytes : 0;
    CHECK(lines == prepared.memory->reserved_bytes() + memory.reserved_bytes());

    PlanRequest tight = request;
    tight.budget_bytes = plan.needed_bytes();
    CHECK(prepare(backend, tight).plan.fits()); // exactly enough
    tight.budget_bytes -= 1;
    CHECK_FALSE(plan_memory(backend, tight).fits());
}

void check_plan(Backend& device) {
    for (const int batch_size : {1, 3, 8})
        for (const int streams : {1, 2}) {
            CAPTURE(batch_size);
            CAPTURE(streams);
            FaultyBackend backend(device);
            const PlanRequest request = request_for(backend, batch_size, streams);
            const MemoryPlan plan = plan_memory(backend, request);
            CHECK(backend.calls == 0); // it takes no memory
            CHECK(plan.fits());
            CHECK(plan.buckets.back().batch == batch_size);

            const Prepared prepared = prepare(backend, request);
            const AllocatorStats memory = prepared.memory->device().stats();
            const AllocatorStats pinned = prepared.memory->pinned().stats();
            check_lines(plan, memory, pinned);
            CHECK(memory.total.reserved_bytes == plan.device_bytes);
            CHECK(pinned.total.reserved_bytes == plan.pinned_bytes);
            CHECK(memory.by_tag[static_cast<int>(MemoryTag::weights)].reserved_bytes ==
                  plan.weight_bytes);
            CHECK(memory.by_tag[static_cast<int>(MemoryTag::weights)].allocated_bytes ==
                  plan.packed_weight_bytes);
            CHECK(memory.peak_reserved_bytes == plan.peak_device_bytes);
            CHECK(pinned.peak_reserved_bytes == plan.peak_pinned_bytes);
            CHECK(memory.limit_bytes == plan.device_bytes);
            CHECK(pinned.limit_bytes == plan.pinned_bytes);
            const int taken = backend.calls;
            for (const std::unique_ptr<Lane>& lane : prepared.pipeline->lanes()) {
                lane->launch(0, {});
                CHECK(lane->wait().norms != nullptr);
            }
            CHECK(backend.calls == taken);
        }
}

/// The books have no addresses: the same requests give the same text.
void check_requests(Backend& backend) {
    const PlanRequest request = request_for(backend, 3);
    DryDevice dry(backend);
    EngineMemory planned(dry), real(backend);
    std::vector<OpenedModel> models;
    for (EngineMemory* memory : {&planned, &real})
        models.push_back(load_model(
            request.model, backend, *memory, request.numerics,
            [](const batching::VisionTransformer&) {
                return std::vector{1, 3};
            },
            0));
    CHECK(real.pinned().stats().total.allocations > 0);
    CHECK(planned.device().snapshot() == real.device().snapshot());
    CHECK(planned.pinned().snapshot() == real.pinned().snapshot());
}

void check_budgets(Backend& backend) {
    // Many photos, since small batches of a small model share the same pages.
    PlanRequest request = request_for(backend, 256, 2);
    request.budget_bytes = plan_memory(backend, request).needed_bytes();
    CHECK(reserved(prepare(backend, request).memory->device()) <= request.budget_bytes);

    // That start kept its times: batch sizes that do not pay have no graph from now on.
    request.budget_bytes = 0;
    const size_t needed = plan_memory(backend, request).needed_bytes();
    request.budget_bytes = needed - 1;
    const std::string refusal = refusal_of(backend, request);
    CAPTURE(refusal);
    const int largest = plan_memory(backend, request).largest_batch;
    REQUIRE(largest >= 1);
    CHECK(largest < 256);
    CHECK(contains(refusal, std::to_string(needed) + " bytes"));
    CHECK(contains(refusal, std::to_string(needed - 1) + " bytes"));
    CHECK(contains(refusal, "--batch-size " + std::to_string(largest) + ", the largest"));
    request.batch_size = largest;
    CHECK(prepare(backend, request).plan.fits());
    request.batch_size = largest + 1;
    CHECK_FALSE(plan_memory(backend, request).fits());

    const MemoryPlan one = plan_memory(backend, request_for(backend, 1));
    request = request_for(backend, 8);
    request.budget_bytes = one.needed_bytes() - 1;
    CHECK(contains(refusal_of(backend, request), "even batches of 1 need"));
    for (const size_t budget : {one.weight_bytes - 1, size_t{1}}) {
        request.budget_bytes = budget;
        const std::string text = refusal_of(backend, request);
        CAPTURE(text);
        CHECK(contains(text, "the weights alone need"));
        CHECK(contains(text, "batches of 1 need"));
        CHECK(contains(text, std::to_string(one.needed_bytes()) + " bytes"));
    }
}

/// One start-up with that fault; whether it asked for memory often enough to meet it.
bool start_with(Backend& device, const std::function<bool(int)>& fails, int fault) {
    FaultyBackend backend(device);
    backend.fails = fails;
    try {
        PlanRequest request = text_request_for(backend, 2);
        request.streams = 2;
        request.batches = {1, 2}; // nothing to time
        const Prepared prepared = prepare(backend, request);
        CHECK(prepared.pipeline->lanes().size() == 2);
        // Asked a second time, it takes no whole pages.
        CHECK(reserved(prepared.memory->device()) <= prepared.plan.device_bytes);
    } catch (const Error& error) {
        const std::string text = error.what();
        CAPTURE(text);
        CHECK(name(error.code()) == "out_of_memory");
        CHECK(contains(text, "while the engine was opened, which needs"));
        CHECK(contains(text, "take a smaller --batch-size"));
    }
    CHECK(backend.live_blocks == 0);
    CHECK(backend.live_streams == 0);
    CHECK(backend.live_events == 0);
    return backend.calls >= fault;
}

void check_faults(Backend& device) {
    int fault = 0;
    do {
        ++fault;
        CAPTURE(fault);
        start_with(
            device, [&](int call) { return call >= fault; }, fault);
    } while (start_with(
        device, [&](int call) { return call == fault; }, fault));
    CHECK(fault > 7); // it met each of several, of the text side too
}

} // namespace

TEST_CASE("plan: on a CPU it is to the byte what the engine holds once it is ready") {
    check_plan(*make_cpu_backend(1));
}

TEST_CASE("plan: on a CPU a dry load makes the very requests of a real one") {
    check_requests(*make_cpu_backend(1));
}

TEST_CASE("simt: a dry load of the plan makes the very requests of a real one") {
    check_requests(*make_gpu());
}

TEST_CASE("plan: on a CPU the text side's part is what it holds and, at most, held") {
    check_text_plan(*make_cpu_backend(1));
}

TEST_CASE("simt: the plan of the text side is what it holds and, at most, held") {
    check_text_plan(*make_gpu());
}

TEST_CASE("simt: the plan is to the byte what the engine holds once it is ready") {
    check_plan(*make_gpu());
}

TEST_CASE(
    "plan: on a CPU a budget that is exactly enough starts, and one byte less says what to do") {
    check_budgets(*make_cpu_backend(1));
}

TEST_CASE("simt: a budget that is exactly enough starts, and one byte less says what to do") {
    if (kSanitized) // the same code as on the CPU, but for the kernels
        return;
    check_budgets(*make_gpu());
}

TEST_CASE(
    "plan: memory that runs out at any request of a start-up on a CPU leaves nothing behind") {
    check_faults(*make_cpu_backend(1));
}

TEST_CASE("simt: memory that runs out at any request of a start-up leaves nothing behind") {
    check_faults(*make_gpu());
}

TEST_CASE("simt: the plan does not look at the weights") {
    const std::unique_ptr<Backend> backend = make_gpu();
    const TemporaryDirectory temporary;
    PlanRequest request = request_for(*backend, 2);
    fs::copy(request.model, temporary.path(), fs::copy_options::recursive);
    for (const char* file : {"golden.json", "golden.safetensors"})
        fs::remove(temporary.path() / file);
    const loader::Safetensors file = loader::Safetensors::open_directory(temporary.path());
    std::vector<std::vector<std::byte>> copies;
    std::vector<loader::TensorToWrite> tensors;
    for (const auto& [name, info] : file.tensors()) {
        copies.emplace_back(info.data.begin(), info.data.end());
        const float beyond = 1e30F; // of fp16
        if (info.dtype == "F32" && name == "visual_projection.weight")
            std::memcpy(copies.back().data(), &beyond, sizeof beyond);
        tensors.push_back({name, info.dtype, info.shape, copies.back()});
    }
    loader::write_safetensors(temporary.path() / "model.safetensors", tensors);
    request.model = temporary.path();
    CHECK(plan_memory(*backend, request).fits());
    try {
        prepare(*backend, request);
        FAIL_CHECK("it took a weight that fp16 cannot hold");
    } catch (const Error& error) {
        CHECK(name(error.code()) == "model");
    }
}

TEST_CASE("simt: without a budget a plan counts what is free and what the open context holds") {
    const std::unique_ptr<Backend> backend = make_gpu();
    const MemoryPlan plan = plan_memory(*backend, request_for(*backend, 2));
    CHECK(plan.taken_bytes() > 0);
    CHECK(plan.budget_bytes == plan.free_bytes + plan.taken_bytes());
}

TEST_CASE("plan: what it says is needed counts the open context, with a budget and without") {
    MemoryPlan plan;
    plan.device = "cuda";
    plan.device_bytes = plan.peak_device_bytes = 1000;
    plan.pinned_bytes = plan.peak_pinned_bytes = 500;
    plan.budget_bytes = size_t{1} << 40;
    DeviceProperties t4;
    t4.kind = "cuda";
    t4.compute_units = 40;
    plan.lines = driver_memory(t4, 7);
    REQUIRE(plan.lines.size() == 3);
    CHECK(plan.taken_bytes() == size_t{128} << 20);
    CHECK(plan.driver_bytes() == plan.taken_bytes() + plan.lines[1].bytes + plan.lines[2].bytes);
    for (const bool given : {false, true}) {
        plan.budget_given = given;
        CHECK(plan.needed_bytes() == 1000 + plan.driver_bytes()); // pinned memory is the host's
    }
    CHECK(driver_memory(t4, 14)[2].bytes == 2 * plan.lines[2].bytes);
    CHECK(driver_memory({.kind = "cpu"}, 7).empty());
}

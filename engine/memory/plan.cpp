#include "engine/memory/plan.h"

#include <algorithm>

#include "engine/backends.h"
#include "engine/lane_memory.h"
#include "engine/memory/byte_size.h"
#include "engine/memory/driver_memory.h"
#include "engine/memory/dry_device.h"

namespace yeoul {
namespace {

std::string exactly(size_t bytes) {
    return bytes < 1024 ? bytes_text(bytes)
                        : bytes_text(bytes) + " (" + std::to_string(bytes) + " bytes)";
}

void add_lines(MemoryPlan& plan, const LaneShape& shape) {
    const auto add = [&](const char* what, MemoryTag tag, size_t bytes) {
        plan.lines.push_back({.what = what,
                              .tag = tag,
                              .owner = PlanLine::Owner::ours,
                              .pinned = tag == MemoryTag::staging,
                              .bytes = bytes,
                              .estimated = false,
                              .taken = false});
    };
    const size_t streams = plan.streams;
    const size_t tables = shape.staging_bytes() - shape.slots_bytes();
    add("weights", MemoryTag::weights, plan.weight_bytes);
    add("arenas, with workspaces", MemoryTag::activations, streams * shape.arena_bytes);
    add("photo slots", MemoryTag::activations, streams * shape.slots_bytes());
    add("index tables, vectors", MemoryTag::activations, streams * tables);
    add("staging of photos", MemoryTag::staging, streams * shape.slots_bytes());
    add("staging of tables, vectors", MemoryTag::staging, streams * tables);
    size_t device_bytes = 0, pinned_bytes = 0;
    for (const PlanLine& line : plan.lines)
        (line.pinned ? pinned_bytes : device_bytes) += line.bytes;
    add("rest of pages", MemoryTag::activations, plan.device_bytes - device_bytes);
    add("rest of pinned pages", MemoryTag::staging, plan.pinned_bytes - pinned_bytes);
}

/// What all weights ask for together, in the allocator's granules.
size_t packed_weight_bytes(Backend& backend, const PlanRequest& request,
                           const std::vector<int>& batches) {
    DryDevice dry(backend);
    EngineMemory memory(dry);
    const OpenedModel opened =
        load_model(request.model, backend, memory, request.numerics, batches, 0);
    return memory.device().stats().total.allocated_bytes;
}

/// The start-up on numbers.
MemoryPlan dry_run(Backend& backend, const PlanRequest& request, int batch_size) {
    DryDevice dry(backend);
    EngineMemory memory(dry);
    const std::vector<int> batches = planned_batches(backend, batch_size);
    MemoryPlan plan;
    plan.device = backend.properties().kind;
    plan.host_memory = backend.properties().host_memory;
    plan.batch_size = batches.back();
    plan.streams = request.streams;

    plan.packed_weight_bytes = packed_weight_bytes(backend, request, batches);
    const OpenedModel opened = load_model(request.model, backend, memory, request.numerics, batches,
                                          plan.packed_weight_bytes);
    plan.weight_bytes = memory.device().stats().total.reserved_bytes;
    const size_t loading_bytes = plan.weight_bytes + memory.pinned().stats().peak_reserved_bytes;
    const LaneShape shape = LaneShape::of(*opened.model, batches.back());
    std::vector<std::unique_ptr<LaneMemory>> lanes;
    for (int i = 0; i < request.streams; ++i)
        lanes.push_back(std::make_unique<LaneMemory>(memory.lanes(), shape));
    memory.empty_cache();

    const AllocatorStats device = memory.device().stats(), pinned = memory.pinned().stats();
    plan.device_bytes = device.total.reserved_bytes;
    plan.pinned_bytes = pinned.total.reserved_bytes;
    plan.peak_device_bytes = device.peak_reserved_bytes;
    plan.peak_pinned_bytes = pinned.peak_reserved_bytes;
    plan.peak_bytes = std::max(loading_bytes, plan.owned_bytes());
    add_lines(plan, shape);
    const int graphs = request.streams * static_cast<int>(batches.size());
    for (PlanLine& line : driver_memory(backend.properties(), graphs))
        plan.lines.push_back(std::move(line));
    for (const int batch : batches)
        plan.buckets.push_back({batch, opened.model->activation_bytes(batch)});
    return plan;
}

} // namespace

size_t MemoryPlan::driver_bytes() const {
    size_t bytes = 0;
    for (const PlanLine& line : lines)
        if (line.owner == PlanLine::Owner::driver && (budget_given || !line.taken))
            bytes += line.bytes;
    return bytes;
}

std::string MemoryPlan::refusal() const {
    const std::string there = budget_given ? "the budget is " + exactly(budget_bytes)
                                           : "this device has " + exactly(budget_bytes) + " free";
    const std::string more = budget_given ? "a larger --budget" : "free memory";
    const std::string fewer = streams > 1 ? "fewer --streams, " : "";
    if (weight_bytes + driver_bytes() > budget_bytes)
        return "the weights alone need " + exactly(weight_bytes + driver_bytes()) + ", and " +
               there + ": no batch size fits; batches of 1 need " + exactly(least_bytes);
    if (largest_batch == 0)
        return "even batches of 1 need " + exactly(least_bytes) + ", and " + there + ": take " +
               fewer + "a smaller model or " + more;
    return "batches of " + std::to_string(batch_size) + " need " + exactly(needed_bytes()) +
           ", and " + there + ": take --batch-size " + std::to_string(largest_batch) +
           ", the largest that fits, " + fewer + "or " + more;
}

std::string MemoryPlan::shortage(const std::string& problem) const {
    return problem + " while the engine was opened, which needs " + exactly(needed_bytes()) +
           " in all: free memory, or take a smaller --batch-size";
}

MemoryPlan plan_memory(Backend& backend, const PlanRequest& request) {
    // Before the dry run loads kernels, which the plan counts.
    const bool given = request.budget_bytes > 0;
    const size_t budget_bytes =
        given ? request.budget_bytes
              : std::min(backend.free_bytes(), backend.properties().total_bytes);
    const auto plan_of = [&](int batch_size) {
        MemoryPlan plan = dry_run(backend, request, batch_size);
        plan.budget_given = given;
        plan.budget_bytes = budget_bytes;
        return plan;
    };
    MemoryPlan plan = plan_of(request.batch_size);
    plan.largest_batch = plan.batch_size;
    if (plan.fits())
        return plan;
    // Larger batches need more: the first that does not fit is found by halving.
    int fitting = 0, refused = plan.batch_size;
    plan.least_bytes = refused > 1 ? plan_of(1).needed_bytes() : plan.needed_bytes();
    if (refused > 1 && plan.least_bytes <= budget_bytes)
        fitting = 1;
    while (fitting > 0 && refused - fitting > 1) {
        const int middle = fitting + (refused - fitting) / 2;
        (plan_of(middle).fits() ? fitting : refused) = middle;
    }
    plan.largest_batch = fitting;
    return plan;
}

} // namespace yeoul

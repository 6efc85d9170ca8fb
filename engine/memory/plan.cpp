#include "engine/memory/plan.h"

#include <algorithm>

#include "engine/memory/byte_size.h"
#include "engine/memory/driver_memory.h"
#include "engine/memory/dry_device.h"
#include "engine/pipeline.h"
#include "engine/text_side.h"

namespace yeoul {
namespace {

std::string exactly(size_t bytes) {
    return bytes < 1024 ? bytes_text(bytes)
                        : bytes_text(bytes) + " (" + std::to_string(bytes) + " bytes)";
}

void add_lines(MemoryPlan& plan, const PipelineShape& shape) {
    const auto add = [&](const char* what, MemoryTag tag, size_t bytes) {
        if (bytes > 0)
            plan.lines.push_back({.what = what,
                                  .tag = tag,
                                  .owner = PlanLine::Owner::ours,
                                  .pinned = tag == MemoryTag::staging,
                                  .bytes = bytes,
                                  .estimated = false,
                                  .taken = false});
    };
    const IntakeShape& intake = shape.intake;
    const size_t streams = shape.streams;
    add("weights", MemoryTag::weights, plan.weight_bytes);
    add("arenas, ops' workspaces in them", MemoryTag::activations, streams * shape.arena_bytes);
    add("photo slots", MemoryTag::activations, intake.slot_bytes() * intake.slots);
    add("photos before the resize", MemoryTag::activations, intake.ring_bytes);
    add("staging of slots", MemoryTag::staging,
        intake.host ? 0 : intake.slot_bytes() * intake.slots);
    add("staging of photos", MemoryTag::staging, intake.ring_bytes);
    size_t device_bytes = 0, pinned_bytes = 0;
    for (const PlanLine& line : plan.lines)
        (line.pinned ? pinned_bytes : device_bytes) += line.bytes;
    add("tables, vectors, rest of pages", MemoryTag::activations, plan.device_bytes - device_bytes);
    add("tables, vectors, rest of pages", MemoryTag::staging, plan.pinned_bytes - pinned_bytes);
}

void add_text(MemoryPlan& plan, const EngineMemory& memory) {
    const AllocatorStats device = memory.device().stats(), pinned = memory.pinned().stats();
    plan.text_device_bytes = device.total.reserved_bytes;
    plan.text_pinned_bytes = pinned.total.reserved_bytes;
    plan.text_peak_bytes = plan.host_memory ? memory.peak_bytes() : device.peak_reserved_bytes;
    const auto add = [&](const char* what, MemoryTag tag, const AllocatorStats& stats) {
        plan.lines.push_back({.what = what,
                              .tag = tag,
                              .owner = PlanLine::Owner::ours,
                              .pinned = tag == MemoryTag::staging,
                              .bytes = stats.by_tag[static_cast<size_t>(tag)].reserved_bytes,
                              .estimated = false,
                              .taken = false});
    };
    add("text tower", MemoryTag::weights, device);
    add("text arena, buffers of tags", MemoryTag::activations, device);
    add("staging of text and tags", MemoryTag::staging, pinned);
}

/// The start-up on numbers.
MemoryPlan dry_run(Backend& backend, const PlanRequest& request, int batch_size) {
    DryDevice dry(backend);
    const DeviceProperties& device = backend.properties();
    MemoryPlan plan;
    plan.device = device.kind;
    plan.host_memory = device.host_memory;
    plan.streams = request.streams;
    const auto choose = [&](const batching::VisionTransformer& model) {
        plan.choice = choose_buckets(device, model,
                                     {.dtype = request.numerics.compute,
                                      .threads = std::max(1, request.threads / request.streams),
                                      .largest = batch_size,
                                      .exactly = request.batches});
        return batch_sizes(plan.choice.buckets);
    };
    { // what all weights ask for together, in the allocator's granules
        EngineMemory memory(dry);
        const OpenedModel opened =
            load_model(request.model, backend, memory, request.numerics, choose, 0);
        plan.packed_weight_bytes = memory.device().stats().total.allocated_bytes;
    }
    EngineMemory memory(dry);
    const OpenedModel opened = load_model(request.model, backend, memory, request.numerics, choose,
                                          plan.packed_weight_bytes);
    plan.weight_bytes = memory.device().stats().total.reserved_bytes;
    const size_t loading_bytes = plan.weight_bytes + memory.pinned().stats().peak_reserved_bytes;
    plan.batch_size = plan.choice.buckets.back().batch;
    const PipelineShape shape = PipelineShape::of(*opened.model, device, plan.batch_size,
                                                  request.streams, request.threads, request.text);
    const PipelineMemory pipeline(memory.lanes(), shape);
    memory.empty_cache();

    const AllocatorStats ours = memory.device().stats(), pinned = memory.pinned().stats();
    plan.device_bytes = ours.total.reserved_bytes;
    plan.pinned_bytes = pinned.total.reserved_bytes;
    plan.peak_device_bytes = ours.peak_reserved_bytes;
    plan.peak_pinned_bytes = pinned.peak_reserved_bytes;
    plan.peak_bytes = std::max(loading_bytes, plan.owned_bytes());
    add_lines(plan, shape);
    if (request.text) {
        const auto load_text = [&](EngineMemory& changing) {
            return TextSide(backend, changing, request.model, request.numerics,
                            batch_sizes(plan.choice.buckets), opened.info.dim,
                            plan.packed_text_bytes);
        };
        EngineMemory loose(dry), changing(dry);
        {
            const TextSide text = load_text(loose);
            const auto& by_tag = loose.device().stats().by_tag;
            plan.packed_text_bytes =
                by_tag[static_cast<size_t>(MemoryTag::weights)].allocated_bytes;
        }
        const TextSide text = load_text(changing);
        add_text(plan, changing);
    }
    // With text each batch size has a second one, which tags.
    const int graphs =
        request.streams * static_cast<int>(plan.choice.buckets.size()) * (request.text ? 2 : 1);
    for (PlanLine& line : driver_memory(device, graphs))
        plan.lines.push_back(std::move(line));
    for (const batching::BatchCost& bucket : plan.choice.buckets)
        plan.buckets.push_back({bucket.batch, opened.model->activation_bytes(bucket.batch)});
    return plan;
}

} // namespace

size_t MemoryPlan::driver_bytes() const {
    size_t bytes = 0;
    for (const PlanLine& line : lines)
        if (line.owner == PlanLine::Owner::driver)
            bytes += line.bytes;
    return bytes;
}

size_t MemoryPlan::taken_bytes() const {
    size_t bytes = 0;
    for (const PlanLine& line : lines)
        if (line.taken)
            bytes += line.bytes;
    return bytes;
}

std::string MemoryPlan::refusal() const {
    const std::string there =
        budget_given ? "the budget is " + exactly(budget_bytes)
                     : "this device has " + exactly(budget_bytes) +
                           (taken_bytes() > 0 ? " free or in its open context" : " free");
    const std::string more = budget_given ? "a larger --budget" : "free memory";
    const std::string fewer = streams > 1 ? "fewer --streams, " : "";
    if (bare_bytes > budget_bytes)
        return "the weights alone need " + exactly(bare_bytes) + ", and " + there +
               ": no batch size fits; batches of 1 need " + exactly(least_bytes);
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
    const size_t free_bytes = std::min(backend.free_bytes(), backend.properties().total_bytes);
    const auto plan_of = [&](int batch_size) {
        MemoryPlan plan = dry_run(backend, request, batch_size);
        plan.budget_given = given;
        plan.budget_bytes = given ? request.budget_bytes : free_bytes + plan.taken_bytes();
        plan.free_bytes = free_bytes;
        return plan;
    };
    MemoryPlan plan = plan_of(request.batch_size);
    plan.largest_batch = plan.batch_size;
    if (plan.fits())
        return plan;
    // Larger batches need more: the first that does not fit is found by halving.
    int fitting = 0, refused = plan.batch_size;
    const MemoryPlan least = refused > 1 ? plan_of(1) : plan;
    plan.least_bytes = least.needed_bytes();
    plan.bare_bytes = least.weight_bytes + least.driver_bytes();
    if (refused > 1 && least.fits())
        fitting = 1;
    while (fitting > 0 && refused - fitting > 1) {
        const int middle = fitting + (refused - fitting) / 2;
        (plan_of(middle).fits() ? fitting : refused) = middle;
    }
    plan.largest_batch = fitting;
    return plan;
}

} // namespace yeoul

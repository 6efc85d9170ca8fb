#include "engine/startup.h"

#include <algorithm>
#include <new>

#include "engine/backends.h"

namespace yeoul {
namespace {

constexpr int kMaxBatchSize = 1024;
constexpr int kMaxStreams = 4;

std::string_view precision_name(Precision precision) {
    switch (precision) {
    case Precision::automatic:
        return "auto";
    case Precision::fp32:
        return "fp32";
    case Precision::bf16:
        return "bf16";
    case Precision::fp16:
        return "fp16";
    }
    return "?";
}

void fill(Prepared& prepared, Backend& backend, const PlanRequest& request) {
    const MemoryPlan& plan = prepared.plan;
    prepared.memory = std::make_unique<EngineMemory>(backend);
    EngineMemory& memory = *prepared.memory;
    memory.set_limits(plan.peak_device_bytes, plan.peak_pinned_bytes);
    const std::vector<int> batches = planned_batches(backend, plan.batch_size);
    prepared.opened = load_model(request.model, backend, memory, request.numerics, batches,
                                 plan.packed_weight_bytes);
    for (int i = 0; i < request.streams; ++i)
        prepared.lanes.push_back(
            std::make_unique<Lane>(backend, memory.lanes(), *prepared.opened.model, batches));
    memory.empty_cache();
    memory.set_limits(plan.device_bytes, plan.pinned_bytes);
}

} // namespace

Resolved resolve(const EngineOptions& options) {
    YEOUL_REQUIRE(options.batch_size >= 0 && options.batch_size <= kMaxBatchSize,
                  "batch size is " << options.batch_size << ", must be 1 to " << kMaxBatchSize
                                   << ", or 0 for the device's default");
    YEOUL_REQUIRE(options.streams >= 1 && options.streams <= kMaxStreams,
                  "streams is " << options.streams << ", must be 1 to " << kMaxStreams);
    YEOUL_REQUIRE(options.threads >= 0 && options.threads <= 1024,
                  "threads is " << options.threads << ", must be 1 to 1024, or 0 for all cores");
    YEOUL_REQUIRE(options.max_pixels > 0,
                  "max pixels is " << options.max_pixels << ", must be positive");
    Resolved resolved;
    resolved.threads = options.threads > 0 ? options.threads : usable_cores();
    // Streams compute at the same time: they share the threads.
    resolved.backend = make_backend(options.device, std::max(1, resolved.threads / options.streams),
                                    [&](const std::string& warning) {
                                        if (options.log)
                                            options.log(LogLevel::warning, warning);
                                    });
    resolved.request = {.model = options.model,
                        .numerics = resolved.backend->numerics(precision_name(options.precision)),
                        .batch_size = options.batch_size,
                        .streams = options.streams,
                        .budget_bytes = options.memory_budget_bytes};
    return resolved;
}

Prepared prepare(Backend& backend, const PlanRequest& request) {
    Prepared prepared{
        .plan = plan_memory(backend, request), .memory = {}, .opened = {}, .lanes = {}};
    if (!prepared.plan.fits())
        throw Error(ErrorCode::out_of_memory, prepared.plan.refusal());
    try {
        fill(prepared, backend, request);
    } catch (const OutOfMemory& error) {
        throw Error(ErrorCode::out_of_memory, prepared.plan.shortage(error.what()));
    } catch (const std::bad_alloc&) {
        throw Error(ErrorCode::out_of_memory, prepared.plan.shortage("out of host memory"));
    }
    return prepared;
}

} // namespace yeoul

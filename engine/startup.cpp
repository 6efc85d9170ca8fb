#include "engine/startup.h"

#include <algorithm>
#include <new>

#include "engine/backends.h"
#include "engine/buckets.h"
#include "engine/tables.h"

namespace yeoul {
namespace {

constexpr int kMaxBatchSize = 1024;
constexpr int kMaxStreams = 4;
constexpr double kMaxMs = 86'400'000; // a day
/// What a T4's bus carries in practice; a photo is copied whole only when that is faster than
/// computing it.
constexpr double kBusBytesPerSecond = 8e9;

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

batching::CostTable time_graphs(Pipeline& pipeline, const BucketChoice& choice, bool keep_largest,
                                const std::function<void(LogLevel, std::string_view)>& log) {
    Lane& first = *pipeline.lanes().front();
    const TimedBuckets timed = time_buckets(
        choice.buckets, keep_largest, [&](int bucket) { return first.measure_us(bucket); },
        kTimingSeconds);
    for (const auto& lane : pipeline.lanes())
        lane->keep(batch_sizes(timed.table.buckets()));
    try {
        write_table(choice.table, timed.text());
    } catch (const Error& error) { // the next start times them again
        if (log)
            log(LogLevel::info, std::string("bucket times are not kept: ") + error.what());
    }
    return timed.table;
}

/// The rows of `batches`, which are some of its own.
batching::CostTable costs_of(const batching::CostTable& all, const std::vector<int>& batches) {
    std::vector<batching::BatchCost> costs;
    for (const batching::BatchCost& cost : all.buckets())
        if (std::find(batches.begin(), batches.end(), cost.batch) != batches.end())
            costs.push_back(cost);
    YEOUL_REQUIRE(costs.size() == batches.size(), "of " << batches.size()
                                                        << " batch sizes the model is planned for "
                                                        << costs.size());
    return batching::CostTable(std::move(costs));
}

void limit_sources(Prepared& prepared) {
    prepared.pipeline->intake().set_most_source_bytes(
        static_cast<size_t>(kBusBytesPerSecond / prepared.costs->best_per_second()));
}

/// The text side, within what the budget leaves for all that comes and goes.
void fill_changing(Prepared& prepared, Backend& backend, const PlanRequest& request) {
    const MemoryPlan& plan = prepared.plan;
    prepared.changing = std::make_unique<EngineMemory>(backend, request.listener);
    if (plan.budget_given && plan.host_memory)
        prepared.changing->set_common_limit(plan.rest_bytes());
    else if (plan.budget_given)
        prepared.changing->set_limits(plan.rest_bytes(), SIZE_MAX);
    if (request.text)
        prepared.text = std::make_unique<TextSide>(
            backend, *prepared.changing, request.model, request.numerics,
            batch_sizes(plan.choice.buckets), prepared.opened.info.dim, plan.packed_text_bytes);
    if (prepared.text && !plan.host_memory) // a CPU's code is made with the ops
        prepared.text->encoder->warm_up();
}

void fill(Prepared& prepared, Backend& backend, const PlanRequest& request,
          const loader::DecodeOptions& decode,
          const std::function<void(LogLevel, std::string_view)>& log) {
    const MemoryPlan& plan = prepared.plan;
    prepared.memory = std::make_unique<EngineMemory>(backend, request.listener);
    EngineMemory& memory = *prepared.memory;
    memory.set_limits(plan.peak_device_bytes, plan.peak_pinned_bytes);
    const std::vector<int> batches = batch_sizes(plan.choice.buckets);
    prepared.opened = load_model(
        request.model, backend, memory, request.numerics,
        [&](const batching::VisionTransformer&) { return batches; }, plan.packed_weight_bytes);
    VisionModel& model = *prepared.opened.model;
    prepared.pipeline = std::make_unique<Pipeline>(
        backend, memory.lanes(), model, batches,
        PipelineShape::of(model, backend.properties(), batches.back(), request.streams,
                          request.threads, request.text),
        prepared.opened.preprocessor, decode);
    prepared.costs = plan.choice.known ? batching::CostTable(plan.choice.buckets)
                                       : time_graphs(*prepared.pipeline, plan.choice,
                                                     request.batch_size > 0, log);
    limit_sources(prepared);
    memory.empty_cache();
    memory.set_limits(plan.device_bytes, plan.pinned_bytes);
    fill_changing(prepared, backend, request);
}

} // namespace

void require_valid(const EngineOptions& options) {
    YEOUL_REQUIRE(options.batch_size >= 0 && options.batch_size <= kMaxBatchSize,
                  "batch size is " << options.batch_size << ", must be 1 to " << kMaxBatchSize
                                   << ", or 0 for the device's default");
    YEOUL_REQUIRE(options.streams >= 1 && options.streams <= kMaxStreams,
                  "streams is " << options.streams << ", must be 1 to " << kMaxStreams);
    YEOUL_REQUIRE(options.threads >= 0 && options.threads <= 1024,
                  "threads is " << options.threads << ", must be 1 to 1024, or 0 for all cores");
    YEOUL_REQUIRE(options.max_pixels > 0,
                  "max pixels is " << options.max_pixels << ", must be positive");
    YEOUL_REQUIRE(options.latency_target_ms >= 0 && options.latency_target_ms <= kMaxMs,
                  "latency target is " << options.latency_target_ms
                                       << " ms, must be 0 for the default, to a day");
    YEOUL_REQUIRE(options.max_wait_ms >= 0 && options.max_wait_ms <= kMaxMs,
                  "max wait is " << options.max_wait_ms << " ms, must be 0 for no limit, to a day");
}

std::unique_ptr<Backend> open_backend(const EngineOptions& options) {
    const int threads = options.threads > 0 ? options.threads : usable_cores();
    // Streams compute at the same time: they share the threads.
    return make_backend(options.device, std::max(1, threads / options.streams),
                        [&](const std::string& warning) {
                            if (options.log)
                                options.log(LogLevel::warning, warning);
                        });
}

PlanRequest plan_request(const Backend& backend, const EngineOptions& options) {
    return {.model = options.model,
            .numerics = backend.numerics(precision_name(options.precision)),
            .batch_size = options.batch_size,
            .streams = options.streams,
            .threads = options.threads > 0 ? options.threads : usable_cores(),
            .budget_bytes = options.memory_budget_bytes,
            .text = options.text};
}

Prepared prepare(Backend& backend, const PlanRequest& request, const loader::DecodeOptions& decode,
                 const std::function<void(LogLevel, std::string_view)>& log) {
    Prepared prepared;
    prepared.plan = plan_memory(backend, request);
    if (!prepared.plan.fits())
        throw Error(ErrorCode::out_of_memory, prepared.plan.refusal());
    try {
        fill(prepared, backend, request, decode, log);
    } catch (const OutOfMemory& error) {
        throw Error(ErrorCode::out_of_memory, prepared.plan.shortage(error.what()));
    } catch (const std::bad_alloc&) {
        throw Error(ErrorCode::out_of_memory, prepared.plan.shortage("out of host memory"));
    }
    return prepared;
}

Prepared prepare_beside(Backend& backend, const Prepared& first, const PlanRequest& request,
                        const loader::DecodeOptions& decode) {
    Prepared prepared;
    prepared.opened.preprocessor = first.opened.preprocessor;
    prepared.opened.info = first.opened.info;
    prepared.costs =
        request.batches.empty() ? first.costs : costs_of(*first.costs, request.batches);
    prepared.memory = std::make_unique<EngineMemory>(backend, request.listener);
    prepared.changing = std::make_unique<EngineMemory>(backend, request.listener);
    EngineMemory& memory = *prepared.memory;
    VisionModel& model = *first.opened.model;
    const std::vector<int> batches = batch_sizes(prepared.costs->buckets());
    prepared.pipeline =
        std::make_unique<Pipeline>(backend, memory.lanes(), model, batches,
                                   PipelineShape::of(model, backend.properties(), batches.back(),
                                                     request.streams, request.threads, false),
                                   prepared.opened.preprocessor, decode);
    limit_sources(prepared);
    memory.empty_cache();
    memory.set_limits(memory.device().stats().total.reserved_bytes,
                      memory.pinned().stats().total.reserved_bytes);
    return prepared;
}

} // namespace yeoul

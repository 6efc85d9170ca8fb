#include "engine/session.h"

#include <algorithm>
#include <chrono>

#include "engine/backends.h"
#include "engine/buckets.h"
#include "engine/tables.h"

namespace yeoul {
namespace {

/// Source pixels on their way to a GPU: 20 photos of a megapixel.
constexpr size_t kRingBytes = size_t{64} << 20;
/// What a T4's bus carries in practice; a photo is copied whole only when that is faster than
/// computing it.
constexpr double kBusBytesPerUs = 8000;
/// From the decision to launch until the device begins: an index table, a graph, a wake-up.
constexpr int64_t kLaunchLeadNs = 300'000;

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

int64_t ns_of_ms(double ms) {
    constexpr double kMost = 9e18;
    return static_cast<int64_t>(std::min(ms * 1e6, kMost));
}

batching::PolicyConfig policy_config(const EngineOptions& options, int threads, bool host) {
    batching::PolicyConfig config;
    config.decode_workers = threads;
    config.streams = options.streams;
    config.latency_target_ns = ns_of_ms(options.latency_target_ms);
    config.drop_late = options.drop_late;
    config.queue_bytes = options.max_queue_bytes > 0 ? options.max_queue_bytes : SIZE_MAX;
    config.max_wait_ns = options.max_wait_ms > 0 ? ns_of_ms(options.max_wait_ms) : batching::kNever;
    config.shared_cores = host;
    config.lead_ns = host ? 0 : kLaunchLeadNs;
    return config;
}

} // namespace

std::unique_ptr<Backend> open_backend(const EngineOptions& options) {
    const int threads = options.threads > 0 ? options.threads : usable_cores();
    // Streams compute at the same time: they share the threads.
    return make_backend(options.device, std::max(1, threads / options.streams),
                        [&](const std::string& warning) {
                            if (options.log)
                                options.log(LogLevel::warning, warning);
                        });
}

Session::Session(std::unique_ptr<Backend> backend, const EngineOptions& options,
                 const std::vector<int>& batches)
    : backend_(std::move(backend)), memory_(std::make_unique<Memory>(*backend_)) {
    const auto start = std::chrono::steady_clock::now();
    const int threads = options.threads > 0 ? options.threads : usable_cores();
    load(options, batches);
    batching::CostTable table = make_pipeline(options, threads, !batches.empty());
    // What loading needed and serving does not: staging of weights.
    memory_->pinned.empty_cache();
    memory_->device.empty_cache();

    const DeviceProperties& properties = backend_->properties();
    device_ = {.kind = properties.kind,
               .name = properties.name,
               .dtype = device_.dtype,
               .streams = options.streams,
               .threads = threads,
               .batch_size = table.largest()};
    Scheduler::Options scheduling{policy_config(options, threads, properties.host_memory),
                                  std::move(table), info_.dim, options.log};
    scheduling.policy.slots = pipeline_->intake().slots().shape[0];
    scheduler_ = std::make_unique<Scheduler>(*pipeline_, std::move(scheduling));
    load_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Session::load(const EngineOptions& options, const std::vector<int>& batches) {
    backend_->place_weights(memory_->weights);
    const Numerics numerics = backend_->numerics(precision_name(options.precision));
    device_.dtype = numerics.compute;
    OpenedModel opened = open_model(
        options.model, *backend_, numerics, [&](const batching::VisionTransformer& model) {
            proposed_ = propose_buckets(backend_->properties(), model, options.batch_size);
            if (!batches.empty())
                proposed_.clear();
            for (int batch : batches)
                proposed_.push_back({batch, 1.0 * batch});
            return batch_sizes(proposed_);
        });
    model_ = std::move(opened.model);
    info_ = std::move(opened.info);
    preprocessor_ = std::move(opened.preprocessor);
}

batching::CostTable Session::make_pipeline(const EngineOptions& options, int threads,
                                           bool keep_all) {
    const DeviceProperties& properties = backend_->properties();
    const bool keep_largest = options.batch_size > 0;
    const std::string name =
        bucket_table_name(properties, model_->shape(), device_.dtype, threads / options.streams) +
        "-to" + std::to_string(proposed_.back().batch);
    std::optional<batching::CostTable> table;
    if (keep_all)
        table.emplace(proposed_);
    else
        table = read_buckets(read_table(name), proposed_, keep_largest);
    const std::vector<int> batches = batch_sizes(table ? table->buckets() : proposed_);

    IntakeShape shape{.slots = 4 * batches.back() * options.streams + threads,
                      .height = model_->image_height(),
                      .width = model_->image_width(),
                      .host = properties.host_memory};
    if (!shape.host)
        shape.ring_bytes = kRingBytes;
    pipeline_ = std::make_unique<Pipeline>(
        *backend_, memory_->lanes, *model_, batches, options.streams, shape, preprocessor_,
        loader::DecodeOptions{.max_pixels = options.max_pixels,
                              .exif_rotate = options.exif_rotate,
                              .alpha_on_white = !options.drop_alpha,
                              .fast = options.fast_decode});
    if (!table) {
        Lane& lane = *pipeline_->lanes().front();
        const TimedBuckets timed = time_buckets(
            proposed_, keep_largest, [&](int bucket) { return lane.measure_us(bucket); },
            kTimingSeconds);
        table = timed.table;
        for (const auto& other : pipeline_->lanes())
            other->keep(batch_sizes(table->buckets()));
        try {
            write_table(name, timed.text());
        } catch (const Error& error) { // the next start times them again
            if (options.log)
                options.log(LogLevel::info,
                            std::string("bucket times are not kept: ") + error.what());
        }
    }
    pipeline_->intake().set_most_source_bytes(
        static_cast<size_t>(kBusBytesPerUs * 1e6 / table->best_per_second()));
    return *std::move(table);
}

EngineStats Session::stats() const {
    EngineStats stats = scheduler_->stats();
    const AllocatorStats device = memory_->device.stats(), pinned = memory_->pinned.stats();
    stats.weight_bytes = static_cast<int64_t>(model_->weight_bytes());
    stats.activation_bytes = static_cast<int64_t>(
        device.by_tag[static_cast<size_t>(MemoryTag::activations)].allocated_bytes);
    stats.staging_bytes = static_cast<int64_t>(pinned.total.allocated_bytes);
    stats.load_seconds = load_seconds_;
    return stats;
}

} // namespace yeoul

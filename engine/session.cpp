#include "engine/session.h"

#include <algorithm>
#include <chrono>

#include "engine/duplicates.h"

namespace yeoul {
namespace {

/// From the decision to launch until the device begins: an index table, a graph, a wake-up.
constexpr int64_t kLaunchLeadNs = 300'000;

/// Photos of a request; half a million pairs take some 0.3 s of one core.
constexpr size_t kMostComparedOnHost = 1024;

batching::PolicyConfig policy_config(const EngineOptions& options, int threads, bool host) {
    const auto ns = [](double ms) { return static_cast<int64_t>(ms * 1e6); };
    batching::PolicyConfig config;
    config.decode_workers = threads;
    config.streams = options.streams;
    config.latency_target_ns = ns(options.latency_target_ms);
    config.drop_late = options.drop_late;
    config.queue_bytes = options.max_queue_bytes > 0 ? options.max_queue_bytes : SIZE_MAX;
    config.max_wait_ns = options.max_wait_ms > 0 ? ns(options.max_wait_ms) : batching::kNever;
    config.shared_cores = host;
    config.lead_ns = host ? 0 : kLaunchLeadNs;
    return config;
}

loader::DecodeOptions decode_options(const EngineOptions& options) {
    return {.max_pixels = options.max_pixels,
            .exif_rotate = options.exif_rotate,
            .alpha_on_white = !options.drop_alpha,
            .fast = options.fast_decode};
}

void add_use(std::vector<MemoryUse>& uses, const AllocatorStats& stats, bool pinned) {
    for (int tag = 0; tag < kMemoryTags; ++tag) {
        const MemoryCounts& counts = stats.by_tag[tag];
        if (counts.allocations == 0)
            continue;
        const std::string_view label = name(static_cast<MemoryTag>(tag));
        auto use = std::find_if(uses.begin(), uses.end(), [&](const MemoryUse& u) {
            return u.tag == label && u.pinned == pinned;
        });
        if (use == uses.end())
            use = uses.insert(use, {.tag = std::string(label), .pinned = pinned});
        use->allocated_bytes += static_cast<int64_t>(counts.allocated_bytes);
        use->reserved_bytes += static_cast<int64_t>(counts.reserved_bytes);
        use->peak_bytes += static_cast<int64_t>(counts.peak_allocated_bytes);
    }
}

} // namespace

Session::Session(std::unique_ptr<Backend> backend, const EngineOptions& options,
                 const MeasuringOptions& measuring)
    : trace_path_(options.trace), log_(options.log), backend_(std::move(backend)) {
    const auto began = std::chrono::steady_clock::now();
    if (!trace_path_.empty()) {
        trace_.write(trace_path_); // who cannot write there should know now
        backend_ = std::make_shared<TracedBackend>(std::move(backend_), trace_);
    }
    PlanRequest request = plan_request(*backend_, options);
    request.batches = measuring.batches;
    prepared_ = prepare(*backend_, request, decode_options(options), options.log);
    if (options.text)
        text_ = std::make_unique<TextSide>(*backend_, *backend_, options.model, request.numerics,
                                           batch_sizes(prepared_.plan.choice.buckets),
                                           prepared_.opened.info.dim);
    start(options, request, measuring.full_batches);
    load_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

Session::Session(Session& first, const EngineOptions& options, const MeasuringOptions& measuring)
    : backend_(first.backend_) {
    PlanRequest request = plan_request(*backend_, options);
    request.batches = measuring.batches;
    prepared_ = prepare_beside(*backend_, first.prepared_, request, decode_options(options));
    start(options, request, measuring.full_batches);
}

void Session::start(const EngineOptions& options, const PlanRequest& request, bool full_batches) {
    const DeviceProperties& properties = backend_->properties();
    device_ = {.kind = properties.kind,
               .name = properties.name,
               .dtype = request.numerics.compute,
               .streams = options.streams,
               .threads = request.threads,
               .batch_size = prepared_.costs->largest(),
               .pci_address = properties.pci_address};
    Scheduler::Options scheduling{policy_config(options, request.threads, properties.host_memory),
                                  *prepared_.costs, prepared_.opened.info.dim, options.log};
    scheduling.policy.slots = prepared_.pipeline->intake().slots().shape[0];
    scheduling.policy.full_batches = full_batches;
    Stages* stages = prepared_.pipeline.get();
    if (!trace_path_.empty())
        stages = (traced_stages_ = std::make_unique<TracedStages>(*stages, trace_)).get();
    scheduler_ = std::make_unique<Scheduler>(*stages, std::move(scheduling));
    ready_allocations_ = upstream_allocations();
}

Session::~Session() {
    if (trace_path_.empty())
        return;
    scheduler_.reset(); // the last batch is to be in it
    try {
        static_cast<TracedBackend&>(*backend_).finish();
        trace_.write(trace_path_);
    } catch (const std::exception& error) {
        if (log_)
            log_(LogLevel::error, error.what());
    }
}

TextSide& Session::text() const {
    YEOUL_REQUIRE(text_ != nullptr, "the engine was opened without text: set EngineOptions::text");
    return *text_;
}

void Session::submit(Request request, Scheduler::OnDone on_done) {
    if (request.tags != 0) {
        YEOUL_REQUIRE(request.tags >= 1 && request.tags <= TopKDesc::kMaxK,
                      "tags is " << request.tags << ", must be 1 to " << TopKDesc::kMaxK);
        YEOUL_REQUIRE(text().tagger.labels() != nullptr,
                      "there are no labels to tag with; set them first");
    }
    scheduler_->submit(std::move(request), std::move(on_done));
}

std::vector<std::vector<float>> Session::embed_text(const std::vector<std::string>& texts) {
    return text().encoder->embed(texts);
}

void Session::set_labels(const Labels& labels) {
    TextSide& side = text();
    const std::lock_guard lock(side.replacing);
    std::shared_ptr<const LabelSet> made = side.tagger.make(labels, *side.encoder);
    prepared_.pipeline->use_labels(made, side.memory.lanes());
    side.tagger.replace(std::move(made));
}

std::vector<std::vector<Tag>> Session::tag(const std::vector<std::vector<float>>& embeddings,
                                           int count) {
    return text().tagger.tag(embeddings, count);
}

Duplicates Session::duplicates(const std::vector<std::vector<float>>& embeddings,
                               double threshold) {
    size_t dim = 1;
    for (const std::vector<float>& vector : embeddings)
        dim = std::max(dim, vector.size());
    std::vector<float> rows(embeddings.size() * dim);
    for (size_t i = 0; i < embeddings.size(); ++i) {
        const std::vector<float>& vector = embeddings[i];
        YEOUL_REQUIRE(vector.empty() || vector.size() == dim,
                      "vector " << i << " has " << vector.size() << " values, another " << dim);
        std::copy(vector.begin(), vector.end(), rows.begin() + static_cast<ptrdiff_t>(i * dim));
    }
    if (embeddings.size() <= kMostComparedOnHost)
        return find_duplicates({rows, static_cast<int>(dim)}, threshold);
    return find_duplicates(*backend_, device_.dtype, {rows, static_cast<int>(dim)}, threshold);
}

EngineStats Session::stats() const {
    EngineStats stats = scheduler_->stats();
    const AllocatorStats device = prepared_.memory->device().stats();
    const AllocatorStats pinned = prepared_.memory->pinned().stats();
    add_use(stats.memory, device, false);
    add_use(stats.memory, pinned, true);
    if (prepared_.opened.model) // else they are another's
        stats.weight_bytes = static_cast<int64_t>(prepared_.opened.model->weight_bytes());
    stats.activation_bytes = static_cast<int64_t>(
        device.by_tag[static_cast<size_t>(MemoryTag::activations)].allocated_bytes);
    stats.staging_bytes = static_cast<int64_t>(pinned.total.allocated_bytes);
    if (text_) {
        add_use(stats.memory, text_->memory.device().stats(), false);
        add_use(stats.memory, text_->memory.pinned().stats(), true);
        stats.weight_bytes += static_cast<int64_t>(text_->encoder->weight_bytes());
        stats.activation_bytes += static_cast<int64_t>(text_->encoder->activation_bytes());
    }
    stats.device_allocations_since_ready =
        static_cast<int64_t>(upstream_allocations() - ready_allocations_);
    stats.load_seconds = load_seconds_;
    return stats;
}

std::string Session::memory_snapshot() const {
    return "{\"device\": " + prepared_.memory->device().snapshot() +
           ", \"pinned\": " + prepared_.memory->pinned().snapshot() + "}\n";
}

uint64_t Session::upstream_allocations() const {
    return prepared_.memory->device().stats().upstream_allocations +
           prepared_.memory->pinned().stats().upstream_allocations;
}

} // namespace yeoul

#include "engine/session.h"

#include <algorithm>
#include <chrono>
#include <new>

#include "engine/duplicates.h"
#include "engine/memory/byte_size.h"

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
    : trace_path_(options.trace), log_(options.log) {
    const auto began = std::chrono::steady_clock::now();
    auto counted = std::make_unique<CountedBackend>(std::move(backend));
    counted_ = counted.get();
    backend_ = std::move(counted);
    if (!trace_path_.empty()) {
        trace_.write(trace_path_); // who cannot write there should know now
        backend_ = std::make_shared<TracedBackend>(std::move(backend_), trace_);
    }
    PlanRequest request = plan_request(*backend_, options);
    request.batches = measuring.batches;
    request.listener = measuring.listener;
    prepared_ = prepare(*backend_, request, decode_options(options), options.log);
    placed_.emplace(*backend_, prepared_.changing->workspace());
    tell_memory();
    start(options, request, measuring.full_batches);
    load_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

Session::Session(Session& first, const EngineOptions& options, const MeasuringOptions& measuring)
    : backend_(first.backend_), counted_(first.counted_) {
    PlanRequest request = plan_request(*backend_, options);
    request.batches = measuring.batches;
    request.listener = measuring.listener;
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
    ready_allocations_ = counted_->allocations();
    ready_synchronizations_ = counted_->synchronizations();
}

// The plan and, where free memory is the device's alone to change, what became of its estimate.
void Session::tell_memory() const {
    if (!log_)
        return;
    const MemoryPlan& plan = prepared_.plan;
    std::string text = "memory: " + bytes_text(plan.owned_bytes()) + " of the engine's own";
    if (!plan.host_memory) {
        size_t estimated = 0;
        for (const PlanLine& line : plan.lines)
            if (line.owner == PlanLine::Owner::driver && !line.taken)
                estimated += line.bytes;
        const size_t now = backend_->free_bytes();
        const size_t ours = plan.device_bytes + plan.text_device_bytes;
        const size_t gone = plan.free_bytes > now ? plan.free_bytes - now : 0;
        text += ", the driver added " + bytes_text(gone > ours ? gone - ours : 0) + " (planned ~" +
                bytes_text(estimated) + ")";
    }
    log_(LogLevel::info, text + (plan.budget_given ? ", budget " + bytes_text(plan.budget_bytes)
                                                   : ", free " + bytes_text(plan.free_bytes)));
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
    YEOUL_REQUIRE(prepared_.text != nullptr,
                  "the engine was opened without text: set EngineOptions::text");
    return *prepared_.text;
}

template <class Call>
auto Session::beside_photos(Call call) {
    try {
        return call();
    } catch (const std::bad_alloc&) {
        throw Error(ErrorCode::out_of_memory,
                    "the host is out of memory for this call; send less at once, or free memory");
    } catch (const Error& error) {
        if (error.code() == ErrorCode::device_lost)
            scheduler_->lose(error.what());
        throw;
    }
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
    return beside_photos([&] { return text().encoder->embed(texts); });
}

void Session::set_labels(const Labels& labels) {
    beside_photos([&] {
        TextSide& side = text();
        const std::lock_guard lock(side.replacing);
        std::shared_ptr<const LabelSet> made =
            side.tagger.make(labels, *side.encoder, side.memory.labels());
        prepared_.pipeline->use_labels(made, side.memory.lanes());
        side.tagger.replace(std::move(made));
    });
}

std::vector<std::vector<Tag>> Session::tag(const std::vector<std::vector<float>>& embeddings,
                                           int count) {
    return beside_photos([&] { return text().tagger.tag(embeddings, count); });
}

Duplicates Session::duplicates(const std::vector<std::vector<float>>& embeddings,
                               double threshold) {
    return beside_photos([&] {
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
        const VectorRows vectors{rows, static_cast<int>(dim)};
        if (embeddings.size() <= kMostComparedOnHost)
            return find_duplicates(vectors, threshold);
        return find_duplicates(*backend_, prepared_.changing->workspace(), device_.dtype, vectors,
                               threshold);
    });
}

EngineStats Session::stats() const {
    EngineStats stats = scheduler_->stats();
    const AllocatorStats device = prepared_.memory->device().stats();
    const AllocatorStats pinned = prepared_.memory->pinned().stats();
    add_use(stats.memory, device, false);
    add_use(stats.memory, pinned, true);
    add_use(stats.memory, prepared_.changing->device().stats(), false);
    add_use(stats.memory, prepared_.changing->pinned().stats(), true);
    if (prepared_.opened.model) // else they are another's
        stats.weight_bytes = static_cast<int64_t>(prepared_.opened.model->weight_bytes());
    stats.activation_bytes = static_cast<int64_t>(
        device.by_tag[static_cast<size_t>(MemoryTag::activations)].allocated_bytes);
    stats.staging_bytes = static_cast<int64_t>(pinned.total.allocated_bytes);
    if (prepared_.text) {
        const TextEncoder& encoder = *prepared_.text->encoder;
        stats.weight_bytes += static_cast<int64_t>(encoder.weight_bytes());
        stats.activation_bytes += static_cast<int64_t>(encoder.activation_bytes());
    }
    stats.device_allocations_since_ready =
        static_cast<int64_t>(counted_->allocations() - ready_allocations_);
    stats.device_synchronizations_since_ready =
        static_cast<int64_t>(counted_->synchronizations() - ready_synchronizations_);
    stats.load_seconds = load_seconds_;
    return stats;
}

std::string Session::memory_snapshot() const {
    return "{\"photos\": " + prepared_.memory->snapshot() +
           ",\n\"text and searches\": " + prepared_.changing->snapshot() + "}\n";
}

} // namespace yeoul

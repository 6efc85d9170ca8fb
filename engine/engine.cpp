#include <yeoul/engine.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <new>
#include <system_error>

#include "engine/batching/dispatcher.h"
#include "engine/startup.h"

namespace yeoul {
namespace {

void add_use(std::vector<MemoryUse>& uses, const AllocatorStats& stats, bool pinned) {
    for (int tag = 0; tag < kMemoryTags; ++tag) {
        const MemoryCounts& counts = stats.by_tag[tag];
        if (counts.allocations > 0)
            uses.push_back({.tag = std::string(name(static_cast<MemoryTag>(tag))),
                            .pinned = pinned,
                            .allocated_bytes = static_cast<int64_t>(counts.allocated_bytes),
                            .reserved_bytes = static_cast<int64_t>(counts.reserved_bytes),
                            .peak_bytes = static_cast<int64_t>(counts.peak_allocated_bytes)});
    }
}

} // namespace

class Engine::Impl {
public:
    explicit Impl(const EngineOptions& options) {
        const auto start = std::chrono::steady_clock::now();
        Resolved resolved = resolve(options);
        backend_ = std::move(resolved.backend);
        Prepared prepared = prepare(*backend_, resolved.request);
        memory_ = std::move(prepared.memory);
        model_ = std::move(prepared.opened.model);
        info_ = std::move(prepared.opened.info);
        for (const std::unique_ptr<Lane>& lane : prepared.lanes) {
            activation_bytes_ += lane->activation_bytes() + lane->slot_bytes();
            staging_bytes_ += lane->staging_bytes();
        }
        const DeviceProperties& properties = backend_->properties();
        device_ = {.kind = properties.kind,
                   .name = properties.name,
                   .dtype = resolved.request.numerics.compute,
                   .streams = options.streams,
                   .threads = resolved.threads,
                   .batch_size = prepared.plan.batch_size};
        dispatcher_ = std::make_unique<Dispatcher>(
            std::move(prepared.lanes), prepared.opened.preprocessor,
            loader::DecodeOptions{.max_pixels = options.max_pixels,
                                  .exif_rotate = options.exif_rotate,
                                  .alpha_on_white = !options.drop_alpha,
                                  .fast = options.fast_decode},
            info_.dim, resolved.threads, options.log);
        ready_allocations_ = upstream_allocations();
        load_seconds_ =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }

    void submit(Request request, Dispatcher::OnDone on_done) {
        dispatcher_->submit(std::move(request), std::move(on_done));
    }
    const ModelInfo& info() const { return info_; }
    const DeviceInfo& device() const { return device_; }
    EngineStats stats() const {
        EngineStats stats = dispatcher_->stats();
        stats.weight_bytes = static_cast<int64_t>(model_->weight_bytes());
        stats.activation_bytes = static_cast<int64_t>(activation_bytes_);
        stats.staging_bytes = static_cast<int64_t>(staging_bytes_);
        stats.load_seconds = load_seconds_;
        add_use(stats.memory, memory_->device().stats(), false);
        add_use(stats.memory, memory_->pinned().stats(), true);
        stats.device_allocations_since_ready =
            static_cast<int64_t>(upstream_allocations() - ready_allocations_);
        return stats;
    }
    std::string memory_snapshot() const {
        return "{\"device\": " + memory_->device().snapshot() +
               ", \"pinned\": " + memory_->pinned().snapshot() + "}\n";
    }

private:
    uint64_t upstream_allocations() const {
        return memory_->device().stats().upstream_allocations +
               memory_->pinned().stats().upstream_allocations;
    }

    std::unique_ptr<Backend> backend_;
    std::unique_ptr<EngineMemory> memory_;
    std::unique_ptr<VisionModel> model_;
    ModelInfo info_;
    DeviceInfo device_;
    size_t activation_bytes_ = 0, staging_bytes_ = 0;
    double load_seconds_ = 0;
    uint64_t ready_allocations_ = 0;
    std::unique_ptr<Dispatcher> dispatcher_; // last: it ends before what it uses
};

Photo Photo::file(std::filesystem::path path) {
    Photo photo;
    photo.path = std::move(path);
    return photo;
}

Photo Photo::bytes(std::vector<uint8_t> encoded) {
    Photo photo;
    photo.encoded = std::move(encoded);
    return photo;
}

Photo Photo::rgb(std::vector<uint8_t> pixels, int height, int width) {
    Photo photo;
    photo.pixels = std::move(pixels);
    photo.height = height;
    photo.width = width;
    return photo;
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

Engine Engine::open(const EngineOptions& options) {
    try {
        return Engine(std::make_unique<Impl>(options));
    } catch (const std::bad_alloc&) {
        throw Error(ErrorCode::out_of_memory,
                    "out of memory while the engine was opened; take a smaller --batch-size");
    } catch (const std::system_error& error) {
        throw Error(ErrorCode::device, std::string("the engine's threads cannot be started: ") +
                                           error.what() + "; take fewer --threads or --streams");
    }
}

std::vector<Result> Engine::embed(Request request) {
    // Shared with the callback: the waiter may be gone before set_value returns.
    const auto promise = std::make_shared<std::promise<std::vector<Result>>>();
    std::future<std::vector<Result>> future = promise->get_future();
    submit(std::move(request),
           [promise](std::vector<Result> results) { promise->set_value(std::move(results)); });
    return future.get();
}

std::vector<Result> Engine::embed(std::vector<Photo> photos) {
    Request request;
    request.photos = std::move(photos);
    return embed(std::move(request));
}

void Engine::submit(Request request, std::function<void(std::vector<Result>)> on_done) {
    YEOUL_REQUIRE(on_done, "submit needs a callback for its results");
    impl_->submit(std::move(request), std::move(on_done));
}

const ModelInfo& Engine::info() const {
    return impl_->info();
}
const DeviceInfo& Engine::device() const {
    return impl_->device();
}
EngineStats Engine::stats() const {
    return impl_->stats();
}
std::string Engine::memory_snapshot() const {
    return impl_->memory_snapshot();
}

std::string_view version() {
    return YEOUL_VERSION;
}

} // namespace yeoul

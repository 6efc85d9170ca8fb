#include <yeoul/engine.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <new>
#include <system_error>

#include "engine/backends.h"
#include "engine/batching/dispatcher.h"
#include "engine/memory/allocated_device.h"
#include "engine/models/model.h"

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

} // namespace

class Engine::Impl {
public:
    explicit Impl(const EngineOptions& options) {
        const auto start = std::chrono::steady_clock::now();
        YEOUL_REQUIRE(options.batch_size >= 0 && options.batch_size <= kMaxBatchSize,
                      "batch size is " << options.batch_size << ", must be 1 to " << kMaxBatchSize
                                       << ", or 0 for the device's default");
        YEOUL_REQUIRE(options.streams >= 1 && options.streams <= kMaxStreams,
                      "streams is " << options.streams << ", must be 1 to " << kMaxStreams);
        YEOUL_REQUIRE(options.threads >= 0 && options.threads <= 1024,
                      "threads is " << options.threads
                                    << ", must be 1 to 1024, or 0 for all cores");
        YEOUL_REQUIRE(options.max_pixels > 0,
                      "max pixels is " << options.max_pixels << ", must be positive");

        const int threads = options.threads > 0 ? options.threads : usable_cores();
        // Streams compute at the same time: they share the threads.
        backend_ = make_backend(options.device, std::max(1, threads / options.streams),
                                [&](const std::string& warning) {
                                    if (options.log)
                                        options.log(LogLevel::warning, warning);
                                });
        memory_ = std::make_unique<Memory>(*backend_);
        backend_->place_weights(memory_->weights);
        const std::vector<int> batches = planned_batches(*backend_, options.batch_size);
        const Numerics numerics = backend_->numerics(precision_name(options.precision));
        OpenedModel opened = open_model(options.model, *backend_, numerics, batches);
        model_ = std::move(opened.model);
        info_ = std::move(opened.info);

        std::vector<std::unique_ptr<Lane>> lanes;
        for (int i = 0; i < options.streams; ++i) {
            lanes.push_back(std::make_unique<Lane>(*backend_, memory_->lanes, *model_, batches));
            activation_bytes_ += lanes.back()->activation_bytes() + lanes.back()->slot_bytes();
            staging_bytes_ += lanes.back()->staging_bytes();
        }
        // What loading needed and serving does not: staging of weights.
        memory_->pinned.empty_cache();
        memory_->device.empty_cache();
        const DeviceProperties& properties = backend_->properties();
        device_ = {.kind = properties.kind,
                   .name = properties.name,
                   .dtype = numerics.compute,
                   .streams = options.streams,
                   .threads = threads,
                   .batch_size = batches.back()};
        dispatcher_ = std::make_unique<Dispatcher>(
            std::move(lanes), opened.preprocessor,
            loader::DecodeOptions{.max_pixels = options.max_pixels,
                                  .exif_rotate = options.exif_rotate,
                                  .alpha_on_white = !options.drop_alpha,
                                  .fast = options.fast_decode},
            info_.dim, threads, options.log);
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
        return stats;
    }

private:
    /// The device's memory as the engine hands it out, by what it is for.
    struct Memory {
        explicit Memory(Backend& backend)
            : upstream(backend), pinned_upstream(backend), home(backend), device(backend, upstream),
              pinned(backend, pinned_upstream),
              weights(backend, {device, MemoryTag::weights}, {pinned, MemoryTag::staging}, home),
              lanes(backend, {device, MemoryTag::activations}, {pinned, MemoryTag::staging}, home) {
        }
        DeviceUpstream upstream;
        PinnedUpstream pinned_upstream;
        Stream home; // of everything that is there from start to end
        CachingAllocator device, pinned;
        AllocatedDevice weights, lanes;
    };

    std::unique_ptr<Backend> backend_;
    std::unique_ptr<Memory> memory_;
    std::unique_ptr<VisionModel> model_;
    ModelInfo info_;
    DeviceInfo device_;
    size_t activation_bytes_ = 0, staging_bytes_ = 0;
    double load_seconds_ = 0;
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

std::string_view version() {
    return YEOUL_VERSION;
}

} // namespace yeoul

#include <yeoul/engine.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <new>
#include <system_error>

#include "engine/backends.h"
#include "engine/batching/dispatcher.h"
#include "engine/duplicates.h"
#include "engine/labels.h"
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

        if (options.text) {
            text_ = std::make_unique<TextEncoder>(options.model, *backend_, memory_->lanes,
                                                  numerics, batches);
            tagger_ =
                std::make_unique<Tagger>(*backend_, memory_->lanes, numerics, batches, info_.dim);
        }

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
        if (request.tags != 0)
            add_tags(request, on_done);
        dispatcher_->submit(std::move(request), std::move(on_done));
    }
    std::vector<std::vector<float>> embed_text(const std::vector<std::string>& texts) {
        require_text();
        return text_->embed(texts);
    }
    void set_labels(const Labels& labels) {
        require_text();
        tagger_->replace(labels, *text_);
    }
    std::vector<std::vector<Tag>> tag(const std::vector<std::vector<float>>& embeddings,
                                      int count) {
        require_text();
        return tagger_->tag(embeddings, count);
    }
    Duplicates duplicates(const std::vector<std::vector<float>>& embeddings, double threshold) {
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
        return find_duplicates(*backend_, device_.dtype, {rows, static_cast<int>(dim)}, threshold);
    }
    const ModelInfo& info() const { return info_; }
    const DeviceInfo& device() const { return device_; }
    EngineStats stats() const {
        EngineStats stats = dispatcher_->stats();
        stats.weight_bytes = static_cast<int64_t>(model_->weight_bytes());
        stats.activation_bytes = static_cast<int64_t>(activation_bytes_);
        if (text_) {
            stats.weight_bytes += static_cast<int64_t>(text_->weight_bytes());
            stats.activation_bytes += static_cast<int64_t>(text_->activation_bytes());
        }
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

    void require_text() const {
        YEOUL_REQUIRE(text_ != nullptr,
                      "the engine was opened without text: set EngineOptions::text");
    }

    // Each photo is tagged when its vector is there, before anybody sees it.
    void add_tags(Request& request, Dispatcher::OnDone& on_done) {
        require_text();
        YEOUL_REQUIRE(request.tags >= 1 && request.tags <= TopKDesc::kMaxK,
                      "tags is " << request.tags << ", must be 1 to " << TopKDesc::kMaxK);
        const std::shared_ptr<const LabelSet> labels = tagger_->labels();
        YEOUL_REQUIRE(labels != nullptr, "there are no labels to tag with; set them first");
        const auto tagged = [this, labels, count = request.tags](Result& result) {
            if (result.error)
                return;
            try {
                result.tags = tagger_->tag(*labels, {&result.embedding, 1}, count).front();
            } catch (const Error& error) { // it goes to the photo, not through the engine's thread
                result.error = ItemError{error.code(), error.what()};
                result.embedding.clear();
            }
        };
        const auto on_item = std::move(request.on_item);
        const auto done = std::make_shared<std::vector<std::optional<Result>>>(
            on_item ? request.photos.size() : 0);
        if (on_item)
            request.on_item = [tagged, on_item, done](size_t index, const Result& result) {
                Result& copy = (*done)[index].emplace(result);
                tagged(copy);
                on_item(index, copy);
            };
        on_done = [tagged, done, next = std::move(on_done)](std::vector<Result> results) {
            for (size_t i = 0; i < results.size(); ++i)
                if (i < done->size() && (*done)[i])
                    results[i] = std::move(*(*done)[i]);
                else
                    tagged(results[i]);
            next(std::move(results));
        };
    }

    std::unique_ptr<Backend> backend_;
    std::unique_ptr<Memory> memory_;
    std::unique_ptr<VisionModel> model_;
    std::unique_ptr<TextEncoder> text_; // null without EngineOptions::text
    std::unique_ptr<Tagger> tagger_;
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

std::vector<std::vector<float>> Engine::embed_text(const std::vector<std::string>& texts) {
    return impl_->embed_text(texts);
}

void Engine::set_labels(const Labels& labels) {
    impl_->set_labels(labels);
}

std::vector<std::vector<Tag>> Engine::tag(const std::vector<std::vector<float>>& embeddings,
                                          int count) {
    return impl_->tag(embeddings, count);
}

Duplicates Engine::duplicates(const std::vector<std::vector<float>>& embeddings, double threshold) {
    return impl_->duplicates(embeddings, threshold);
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

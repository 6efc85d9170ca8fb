#include <yeoul/engine.h>

#include <future>
#include <memory>
#include <new>
#include <system_error>

#include "engine/batching/item_error.h"
#include "engine/session.h"

namespace yeoul {

class Engine::Impl : public Session {
public:
    using Session::Session;
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
        require_valid(options);
        return Engine(std::make_unique<Impl>(open_backend(options), options));
    } catch (const std::bad_alloc&) {
        throw Error(ErrorCode::out_of_memory,
                    "out of memory while the engine was opened; take a smaller --batch-size");
    } catch (const std::system_error& error) {
        throw Error(ErrorCode::device, std::string("the engine's threads cannot be started: ") +
                                           error.what() + "; take fewer --threads or --streams");
    }
}

std::vector<Result> Engine::embed(Request request) {
    std::future<std::vector<Result>> future;
    try {
        // Shared with the callback: the waiter may be gone before set_value returns.
        const auto promise = std::make_shared<std::promise<std::vector<Result>>>();
        future = promise->get_future();
        submit(std::move(request),
               [promise](std::vector<Result> results) { promise->set_value(std::move(results)); });
    } catch (const std::bad_alloc&) {
        throw no_memory_for_request();
    }
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

bool Engine::ready() const {
    return impl_->ready();
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

#include <yeoul/engine.h>

#include <algorithm>
#include <future>
#include <memory>
#include <new>
#include <system_error>

#include "engine/session.h"

namespace yeoul {
namespace {

constexpr int kMaxBatchSize = 1024;
constexpr int kMaxStreams = 4;
constexpr double kMaxMs = 86'400'000; // a day

void require_options(const EngineOptions& options) {
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

} // namespace

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
        require_options(options);
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

std::string_view version() {
    return YEOUL_VERSION;
}

} // namespace yeoul

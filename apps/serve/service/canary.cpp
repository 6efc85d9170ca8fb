#include "apps/serve/service/canary.h"

#include <future>
#include <memory>

namespace yeoul::serve {
namespace {

constexpr int kHeight = 96, kWidth = 128;

/// Gradients and edges, so that a wrong channel, row or scale shows.
Photo canary_photo() {
    std::vector<uint8_t> pixels;
    for (int y = 0; y < kHeight; ++y)
        for (int x = 0; x < kWidth; ++x) {
            pixels.push_back(static_cast<uint8_t>(255 * x / kWidth));
            pixels.push_back(static_cast<uint8_t>(255 * y / kHeight));
            pixels.push_back((x / 16 + y / 12) % 2 ? 220 : 30);
        }
    return Photo::rgb(std::move(pixels), kHeight, kWidth);
}

std::vector<float> embed(PhotoEngine& engine) {
    const auto promise = std::make_shared<std::promise<std::vector<Result>>>();
    std::future<std::vector<Result>> future = promise->get_future();
    Request request;
    request.photos.push_back(canary_photo());
    engine.submit(std::move(request), [promise](std::vector<Result> results) {
        promise->set_value(std::move(results));
    });
    Result result = std::move(future.get().at(0));
    if (result.error)
        throw Error(result.error->code, "the canary photo failed: " + result.error->message);
    return std::move(result.embedding);
}

} // namespace

void check_canary(PhotoEngine& engine) {
    if (embed(engine) != embed(engine))
        throw Error(ErrorCode::device,
                    "the same photo gave two different vectors; do not trust this device");
}

} // namespace yeoul::serve

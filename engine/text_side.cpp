#include "engine/text_side.h"

#include <optional>

namespace yeoul {
namespace {

std::unique_ptr<TextEncoder> make_encoder(Backend& backend, EngineMemory& memory,
                                          const std::filesystem::path& directory, Numerics numerics,
                                          const std::vector<int>& batches) {
    const PlacedWeights placed(backend, memory.weights());
    return std::make_unique<TextEncoder>(directory, backend, memory.lanes(), numerics, batches);
}

} // namespace

TextSide::TextSide(Backend& backend, Device& device, const std::filesystem::path& directory,
                   Numerics numerics, const std::vector<int>& batches, int dim)
    : memory(device), encoder(make_encoder(backend, memory, directory, numerics, batches)),
      tagger(backend, memory.lanes(), numerics, batches, dim) {
    memory.empty_cache(); // of the staging of weights
}

void add_tags(TextSide& text, Request& request, std::function<void(std::vector<Result>)>& on_done) {
    YEOUL_REQUIRE(request.tags >= 1 && request.tags <= TopKDesc::kMaxK,
                  "tags is " << request.tags << ", must be 1 to " << TopKDesc::kMaxK);
    const std::shared_ptr<const LabelSet> labels = text.tagger.labels();
    YEOUL_REQUIRE(labels != nullptr, "there are no labels to tag with; set them first");
    const auto tagged = [&text, labels, count = request.tags](Result& result) {
        if (result.error)
            return;
        try {
            result.tags = text.tagger.tag(*labels, {&result.embedding, 1}, count).front();
        } catch (const Error& error) { // it goes to the photo, not through the engine's thread
            result.error = ItemError{error.code(), error.what()};
            result.embedding.clear();
        }
    };
    const auto on_item = std::move(request.on_item);
    const auto done =
        std::make_shared<std::vector<std::optional<Result>>>(on_item ? request.photos.size() : 0);
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

} // namespace yeoul

#include "engine/text_side.h"

namespace yeoul {
namespace {

std::unique_ptr<TextEncoder> make_encoder(Backend& backend, EngineMemory& memory,
                                          const std::filesystem::path& directory, Numerics numerics,
                                          const std::vector<int>& batches, size_t weight_bytes) {
    memory.weights().release(memory.weights().allocate(weight_bytes));
    const PlacedWeights placed(backend, memory.weights());
    return std::make_unique<TextEncoder>(directory, backend, memory.lanes(), numerics, batches);
}

} // namespace

TextSide::TextSide(Backend& backend, EngineMemory& from, const std::filesystem::path& directory,
                   Numerics numerics, const std::vector<int>& batches, int dim, size_t weight_bytes)
    : memory(from),
      encoder(make_encoder(backend, memory, directory, numerics, batches, weight_bytes)),
      tagger(backend, memory.lanes(), numerics, batches, dim) {
    memory.empty_cache(); // of the staging of weights
}

} // namespace yeoul

#include "engine/memory/engine_memory.h"

namespace yeoul {

OpenedModel load_model(const std::filesystem::path& directory, Backend& backend,
                       EngineMemory& memory, Numerics numerics, const ChooseBatches& choose_batches,
                       size_t weight_bytes) {
    // Freed, it is a segment whose pieces the weights take one behind the other.
    memory.weights().release(memory.weights().allocate(weight_bytes));
    const PlacedWeights placed(backend, memory.weights());
    OpenedModel opened = open_model(directory, backend, numerics, choose_batches);
    memory.empty_cache();
    return opened;
}

} // namespace yeoul

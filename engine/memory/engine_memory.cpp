#include "engine/memory/engine_memory.h"

namespace yeoul {

void* EngineMemory::SharedUpstream::allocate(size_t bytes) {
    if (!memory_.take(bytes)) {
        other_.empty_cache();
        if (!memory_.take(bytes))
            throw OutOfMemory(bytes, "the budget");
    }
    try {
        return inner_.allocate(bytes);
    } catch (...) {
        memory_.put(bytes);
        throw;
    }
}

void EngineMemory::SharedUpstream::release(void* data, size_t bytes) noexcept {
    inner_.release(data, bytes);
    memory_.put(bytes);
}

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

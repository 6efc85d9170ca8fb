#include "engine/memory/engine_memory.h"

namespace yeoul {
namespace {

/// While it lives, ops take their weights' memory from a view of the backend's.
class PlacedWeights {
public:
    PlacedWeights(Backend& backend, Device& memory) : backend_(backend) {
        backend.place_weights(memory);
    }
    ~PlacedWeights() { backend_.place_weights(backend_); }
    PlacedWeights(const PlacedWeights&) = delete;
    PlacedWeights& operator=(const PlacedWeights&) = delete;

private:
    Backend& backend_;
};

} // namespace

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

#include "engine/pipeline.h"

namespace yeoul {
namespace {

/// Source pixels on their way to a GPU: 20 photos of a megapixel.
constexpr size_t kRingBytes = size_t{64} << 20;

} // namespace

PipelineShape PipelineShape::of(const VisionModel& model, const DeviceProperties& device,
                                int capacity, int streams, int threads, bool tags) {
    PipelineShape shape;
    shape.intake = {.slots = 4 * capacity * streams + threads,
                    .height = model.image_height(),
                    .width = model.image_width(),
                    .host = device.host_memory,
                    .ring_bytes = device.host_memory ? 0 : kRingBytes};
    shape.streams = streams;
    shape.capacity = capacity;
    shape.dim = model.dim();
    shape.arena_bytes = model.activation_bytes(capacity);
    shape.tags = tags;
    return shape;
}

PipelineMemory::PipelineMemory(Device& memory, const PipelineShape& shape)
    : intake(memory, shape.intake) {
    for (int i = 0; i < shape.streams; ++i)
        lanes.emplace_back(memory, shape.arena_bytes, shape.capacity, shape.dim, shape.intake.host,
                           shape.tags);
}

Pipeline::Pipeline(Backend& backend, Device& memory, VisionModel& model,
                   const std::vector<int>& batches, const PipelineShape& shape,
                   const loader::Preprocessor& preprocessor, const loader::DecodeOptions& decode)
    : intake_(backend, memory, shape.intake, preprocessor, decode) {
    for (int i = 0; i < shape.streams; ++i)
        lanes_.push_back(
            std::make_unique<Lane>(backend, memory, model, intake_.slots(), batches, shape.tags));
}

void Pipeline::use_labels(const std::shared_ptr<const LabelSet>& labels, Device& memory) {
    std::vector<std::shared_ptr<const TagGraphs>> captured;
    for (const auto& lane : lanes_)
        captured.push_back(lane->capture_tags(labels, memory));
    for (size_t i = 0; i < lanes_.size(); ++i)
        lanes_[i]->use(std::move(captured[i]));
}

} // namespace yeoul

#include "engine/pipeline.h"

namespace yeoul {

Pipeline::Pipeline(Backend& backend, Device& memory, VisionModel& model,
                   const std::vector<int>& batches, int streams, const IntakeShape& shape,
                   const loader::Preprocessor& preprocessor, const loader::DecodeOptions& decode)
    : intake_(backend, memory, shape, preprocessor, decode) {
    for (int i = 0; i < streams; ++i)
        lanes_.push_back(std::make_unique<Lane>(backend, memory, model, intake_.slots(), batches));
}

} // namespace yeoul

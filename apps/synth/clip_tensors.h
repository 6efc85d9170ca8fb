// Which tensors a CLIP image tower has and how a random one is drawn.
//
// Weights at a library's default scale hide bugs: attention is uniform, GELU and QuickGELU agree,
// and every photo gets the same vector. These are drawn so that errors show:
//   - q and k so that attention logits have a standard deviation of about 3;
//   - fc1 so that what enters the activation has about 2;
//   - every bias and every LayerNorm gain random (gains +-30 %), the position table as large as the
//     patches;
//   - three outlier channels in the residual stream, 30 to 60 times the others, as trained models
//     have them: one constant from the start, one that varies with the photo, one that appears in
//     the second block. LayerNorm gains after them are raised for the other channels and lowered
//     for these, so that the sublayers see inputs of unit size;
//   - each sublayer adds a fraction of the stream, so that fp16 never overflows.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "loader/model_config.h"

namespace yeoul::synth {

struct TensorDraw {
    std::string name; // the checkpoint's
    std::vector<int64_t> shape;
    double mean = 0, sd = 1;
    /// (element, factor): drawn, then multiplied.
    std::vector<std::pair<int64_t, double>> scaled;
    /// (element, value): not drawn.
    std::vector<std::pair<int64_t, double>> planted;

    int64_t elements() const;
};

/// Of `CLIPVisionModelWithProjection`, sorted by name.
std::vector<TensorDraw> clip_tensors(const loader::ClipVisionConfig& config);

} // namespace yeoul::synth

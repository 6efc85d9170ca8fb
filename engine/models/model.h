// What the engine asks of a model family that turns photos into vectors.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include <yeoul/engine.h>

#include "engine/batching/wave_model.h"
#include "engine/memory/arena.h"
#include "kernels/ops.h"
#include "loader/model_config.h"
#include "loader/preprocessor.h"

namespace yeoul {

/// Called with intermediate tensors by name, in order, while a forward pass is enqueued. The data
/// is there once the stream has come so far. Names are the checkpoint's module names.
using Observer = std::function<void(std::string_view name, const View& tensor)>;

class VisionModel {
public:
    struct Input {
        View slots; // (slots, image_height, image_width, 3) u8
        View index; // (batch) i32: the slot of each photo; -1 computes a row that nobody reads
    };
    struct Output {
        View embeds; // (batch, dim) fp32
        View norms;  // (batch) fp32; not finite when the row is not
    };

    virtual ~VisionModel() = default;

    virtual int image_height() const = 0;
    virtual int image_width() const = 0;
    virtual int dim() const = 0;
    virtual batching::VisionTransformer shape() const = 0; // for predicting times
    virtual double gflop() const = 0;                      // per photo
    virtual size_t weight_bytes() const = 0;
    virtual size_t activation_bytes(int batch) const = 0;

    /// Enqueues the pass for `in.index.shape[0]` photos, one of the batches the model was made for.
    /// Allocates nothing, waits for nothing: it can be captured.
    virtual void forward(const Input& in, const Output& out, Arena arena, StreamRef stream,
                         const Observer& observe = {}) = 0;

    /// Which kernel serves each op, at the smallest and the largest batch.
    virtual std::vector<OpPlan> plans() const = 0;
};

/// A model directory, read and understood.
struct OpenedModel {
    std::unique_ptr<VisionModel> model;
    loader::Preprocessor preprocessor;
    ModelInfo info;
};

/// The batch sizes that a model's ops are to be planned for.
using ChooseBatches = std::function<std::vector<int>(const batching::VisionTransformer&)>;

/// Makes the model of `directory` on `backend`. Throws `Error`, code `model`.
OpenedModel open_model(const std::filesystem::path& directory, Backend& backend, Numerics numerics,
                       const ChooseBatches& choose_batches);

} // namespace yeoul

#include "apps/synth/clip_tensors.h"

#include <algorithm>
#include <cmath>

namespace yeoul::synth {
namespace {

// Standard deviations of what enters the softmax and the activation. A LayerNorm's random gains and
// biases raise 1.8 to 2.1, and 3.0 to 3.8 over a whole matrix, 2.1 to 3.0 within a row.
constexpr double kAttentionLogits = 3.0, kActivationInput = 1.8;
// What attention and the MLP each add to the residual stream, whose ordinary channels start at 1.
constexpr double kAttentionShare = 0.45, kMlpShare = 0.35;
// Root mean square of QuickGELU's output for inputs of standard deviation 2.
constexpr double kActivationRms = 1.75;
// Averaging over the few tokens that a softmax of logits with sd 3 attends to.
constexpr double kAttentionAverage = 0.85;

constexpr double kConstantOutlier = 60, kVaryingOutlier = 40, kLateOutlier = -50;
constexpr int kLateOutlierLayer = 1;
// LayerNorm gain of an outlier channel, relative to the others.
constexpr double kOutlierGain = 0.02;

class ClipTensors {
public:
    explicit ClipTensors(const loader::ClipVisionConfig& config)
        : config_(config),
          dim_(config.hidden_size), outliers_{dim_ / 8 + 1, dim_ / 2, dim_ - dim_ / 8} {}

    std::vector<TensorDraw> all() {
        embeddings();
        for (int layer = 0; layer < config_.num_hidden_layers; ++layer)
            block(layer);
        layer_norm("vision_model.post_layernorm", config_.num_hidden_layers);
        add("visual_projection.weight", {config_.projection_dim, dim_}, 0, fan_in(dim_));
        std::sort(tensors_.begin(), tensors_.end(),
                  [](const TensorDraw& a, const TensorDraw& b) { return a.name < b.name; });
        return std::move(tensors_);
    }

private:
    static double fan_in(int64_t count) { return 1.0 / std::sqrt(static_cast<double>(count)); }

    TensorDraw& add(std::string name, std::vector<int64_t> shape, double mean, double sd) {
        return tensors_.emplace_back(
            TensorDraw{std::move(name), std::move(shape), mean, sd, {}, {}});
    }

    void embeddings() {
        const std::string prefix = "vision_model.embeddings.";
        const int64_t patch = config_.patch_size, channels = config_.num_channels;
        add(prefix + "class_embedding", {dim_}, 0, 1);
        add(prefix + "patch_embedding.weight", {dim_, channels, patch, patch}, 0,
            fan_in(channels * patch * patch));
        add(prefix + "position_embedding.weight", {config_.tokens(), dim_}, 0, 0.7);
        TensorDraw& gain = add("vision_model.pre_layrnorm.weight", {dim_}, 1, 0.3);
        gain.planted = {{outliers_[1], kVaryingOutlier}};
        TensorDraw& bias = add("vision_model.pre_layrnorm.bias", {dim_}, 0, 0.3);
        bias.planted = {{outliers_[0], kConstantOutlier}};
    }

    /// Variance of the ordinary channels before block `layer`.
    double stream_variance(int layer) const {
        return 1.2 + layer * (kAttentionShare * kAttentionShare + kMlpShare * kMlpShare);
    }

    /// A LayerNorm whose output has unit size in the ordinary channels although the outliers
    /// dominate the variance.
    void layer_norm(const std::string& name, int layer) {
        double power = kConstantOutlier * kConstantOutlier + kVaryingOutlier * kVaryingOutlier;
        if (layer > kLateOutlierLayer)
            power += kLateOutlier * kLateOutlier;
        const double ordinary = stream_variance(layer);
        const double gain = std::sqrt((ordinary + power / dim_) / ordinary);
        TensorDraw& weight = add(name + ".weight", {dim_}, gain, 0.3 * gain);
        for (int64_t outlier : outliers_)
            weight.scaled.emplace_back(outlier, kOutlierGain);
        add(name + ".bias", {dim_}, 0, 0.2);
    }

    void linear(const std::string& name, int64_t outputs, int64_t inputs, double sd) {
        add(name + ".weight", {outputs, inputs}, 0, sd * fan_in(inputs));
        add(name + ".bias", {outputs}, 0, 0.1 * sd);
    }

    void block(int layer) {
        const std::string prefix = "vision_model.encoder.layers." + std::to_string(layer);
        const std::string attention = prefix + ".self_attn.", mlp = prefix + ".mlp.";
        layer_norm(prefix + ".layer_norm1", layer);
        // q . k / sqrt(head_dim) has sd(q) * sd(k)
        linear(attention + "q_proj", dim_, dim_, std::sqrt(kAttentionLogits));
        linear(attention + "k_proj", dim_, dim_, std::sqrt(kAttentionLogits));
        linear(attention + "v_proj", dim_, dim_, 1);
        linear(attention + "out_proj", dim_, dim_, kAttentionShare / kAttentionAverage);
        layer_norm(prefix + ".layer_norm2", layer);
        linear(mlp + "fc1", config_.intermediate_size, dim_, kActivationInput);
        linear(mlp + "fc2", dim_, config_.intermediate_size, kMlpShare / kActivationRms);
        if (layer == kLateOutlierLayer)
            tensors_.back().planted = {{outliers_[2], kLateOutlier}};
    }

    const loader::ClipVisionConfig& config_;
    const int64_t dim_;
    const int64_t outliers_[3];
    std::vector<TensorDraw> tensors_;
};

} // namespace

int64_t TensorDraw::elements() const {
    int64_t product = 1;
    for (int64_t extent : shape)
        product *= extent;
    return product;
}

std::vector<TensorDraw> clip_tensors(const loader::ClipVisionConfig& config) {
    return ClipTensors(config).all();
}

} // namespace yeoul::synth

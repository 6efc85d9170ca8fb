// Linear layers: weights packed once, and a product decided for each batch size.
#include <algorithm>

#include "kernels/checks.h"
#include "kernels/cuda/gemm_plan.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/weights.h"

namespace yeoul::cuda {
namespace {

constexpr size_t kAlignment = 16; // of x and y: kernels load and store that much at once

class CudaLinear final : public Linear {
public:
    CudaLinear(const Context& context, const LinearDesc& desc, Batches batches,
               const LinearWeights& weights)
        : desc_(desc), batches_(std::move(batches)) {
        const bool has_bias = !weights.bias.empty();
        const GemmMachine machine = machine_of(context);
        bool half_bias = false;
        for (int batch : batches_.sizes()) {
            const GemmShape shape{total_rows("linear", batch, desc.rows), desc.out, desc.in,
                                  desc.activation, desc.accumulate};
            require_gemm_extents("linear", shape);
            const GemmDecision decision = decide(context.table, machine, shape);
            plans_.emplace_back(context, shape, decision.choice, has_bias);
            names_.push_back(plans_.back().name() +
                             (decision.measured ? " (measured)" : " (predicted)"));
            scratch_bytes_ = std::max(scratch_bytes_, plans_.back().scratch_bytes());
            half_bias |= plans_.back().needs_half_bias();
        }
        weight_ =
            upload_fp16(context, "weight", weights.weight, desc.in, padded(desc.in, kGemmInner));
        bias_ = upload_fp32(context, weights.bias, padded(desc.out, kGemmPadding));
        if (half_bias)
            half_bias_ = upload_fp16(context, "bias", weights.bias, 1, 1);
    }

    void operator()(const View& x, const View& y, Scratch scratch, StreamRef stream) override {
        const int batch = leading(x);
        const size_t plan = batches_.index(batch);
        require("x", x, batch, desc_.in);
        require("y", y, batch, desc_.out);
        require_apart("linear", "x", x, "y", y);
        require_scratch("linear", scratch, scratch_bytes());
        plans_[plan].run({x.data, weight_.data(), bias_.as<float>(), half_bias_.data(), y.data},
                         scratch.data, stream);
    }

    size_t scratch_bytes() const override { return scratch_bytes_; }
    size_t weight_bytes() const override {
        return weight_.bytes() + bias_.bytes() + half_bias_.bytes();
    }
    std::string kernel(int batch) const override { return names_[batches_.index(batch)]; }

private:
    void require(const char* what, const View& view, int batch, int columns) const {
        if (desc_.rows == 1 && view.rank == 2)
            require_activation("linear", what, view, DType::f16, batch, {columns});
        else
            require_activation("linear", what, view, DType::f16, batch, {desc_.rows, columns});
        require_aligned("linear", what, view, kAlignment);
    }

    LinearDesc desc_;
    Batches batches_;
    std::vector<GemmPlan> plans_;    // for each batch size
    std::vector<std::string> names_; // for each batch size
    size_t scratch_bytes_ = 0;
    DeviceWeights weight_;    // (out, padded in) fp16
    DeviceWeights bias_;      // (padded out) fp32
    DeviceWeights half_bias_; // (out) fp16, where a library's plan adds it
};

void require_parts(const LinearDesc& desc, const LinearWeights& weights) {
    YEOUL_REQUIRE(!weights.weight.empty(), "linear: no weight");
    size_t rows = 0;
    for (const View& part : weights.weight) {
        YEOUL_REQUIRE(part.rank >= 1, "linear: weight is " << part.to_string());
        require_weight("linear", "weight", part, static_cast<size_t>(part.shape[0]) * desc.in);
        rows += part.shape[0];
    }
    YEOUL_REQUIRE(rows == static_cast<size_t>(desc.out),
                  "linear: weight has " << rows << " rows, must have " << desc.out);
    if (weights.bias.empty())
        return;
    YEOUL_REQUIRE(weights.bias.size() == weights.weight.size(),
                  "linear: bias has " << weights.bias.size() << " parts, weight has "
                                      << weights.weight.size());
    for (size_t i = 0; i < weights.bias.size(); ++i)
        require_weight("linear", "bias", weights.bias[i], weights.weight[i].shape[0]);
}

void require_fp16(const char* what, DType dtype) {
    YEOUL_REQUIRE(dtype == DType::f16,
                  "linear: " << what << " is " << name(dtype) << ", must be fp16 on this device");
}

} // namespace

std::unique_ptr<Linear> make_linear(const Context& context, const LinearDesc& desc,
                                    const LinearWeights& weights) {
    require_positive("linear", "rows", desc.rows);
    require_positive("linear", "in", desc.in);
    require_positive("linear", "out", desc.out);
    require_fp16("x", desc.x);
    require_fp16("y", desc.y);
    YEOUL_REQUIRE(!desc.accumulate || desc.activation == Activation::none,
                  "linear: an activation on an accumulated product is not defined");
    Batches batches("linear", desc.batches);
    require_parts(desc, weights);
    return std::make_unique<CudaLinear>(context, desc, std::move(batches), weights);
}

} // namespace yeoul::cuda

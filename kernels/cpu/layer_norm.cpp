// Layer norm by oneDNN. Its kernels keep one dtype, so fp32 to bf16 takes a second pass.
#include <algorithm>

#include "kernels/checks.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/processor.h"
#include "kernels/cpu/threads.h"
#include "kernels/cpu/weights.h"

namespace yeoul::cpu {
namespace {

class CpuLayerNorm : public LayerNorm {
public:
    CpuLayerNorm(const Context& context, const LayerNormDesc& desc, const NormWeights& weights)
        : onednn_(context.onednn), desc_(desc), batches_("layer_norm", desc.batches),
          weight_(stack_fp32(context, {weights.weight})),
          bias_(stack_fp32(context, {weights.bias})) {
        for (int batch : batches_.sizes())
            plans_.push_back(plan(batch));
        ScratchLayout layout;
        if (converts())
            layout.add(sizeof(float) * batches_.largest() * desc.rows * desc.dim);
        size_t scratchpad_bytes = 0;
        for (const Plan& plan : plans_)
            scratchpad_bytes = std::max(
                {scratchpad_bytes, plan.scratchpad.get_size(), plan.convert_scratchpad.get_size()});
        scratchpad_offset_ = layout.add(scratchpad_bytes);
        scratch_bytes_ = layout.bytes();
    }

    void operator()(const View& x, const View& y, Scratch scratch, StreamRef stream) override {
        const int batch = leading(x);
        const Plan& plan = plans_[batches_.index(batch)];
        require("x", x, desc_.x, batch);
        require("y", y, desc_.y, batch);
        require_scratch("layer_norm", scratch, scratch_bytes_);
        void* const scratchpad = offset_bytes(scratch.data, scratchpad_offset_);
        void* const normalized = converts() ? scratch.data : y.data;
        worker(stream).enqueue(Call(onednn_, plan.normalize,
                                    {{DNNL_ARG_SRC, plan.x, x.data},
                                     {DNNL_ARG_SCALE, plan.weight, weight_.data()},
                                     {DNNL_ARG_SHIFT, plan.weight, bias_.data()},
                                     {DNNL_ARG_DST, plan.x, normalized},
                                     {DNNL_ARG_SCRATCHPAD, plan.scratchpad, scratchpad}}));
        if (converts())
            worker(stream).enqueue(
                Call(onednn_, plan.convert,
                     {{DNNL_ARG_FROM, plan.x, normalized},
                      {DNNL_ARG_TO, plan.y, y.data},
                      {DNNL_ARG_SCRATCHPAD, plan.convert_scratchpad, scratchpad}}));
    }

    size_t scratch_bytes() const override { return scratch_bytes_; }
    size_t weight_bytes() const override { return weight_.bytes() + bias_.bytes(); }
    std::string kernel(int batch) const override { return plans_[batches_.index(batch)].kernel; }

private:
    struct Plan {
        dnnl::primitive normalize, convert;
        dnnl::memory::desc x, y, weight, scratchpad, convert_scratchpad;
        std::string kernel;
    };

    bool converts() const { return desc_.x != desc_.y; }

    void require(const char* what, const View& view, DType dtype, int batch) const {
        if (desc_.rows == 1 && view.rank == 2)
            require_activation("layer_norm", what, view, dtype, batch, {desc_.dim});
        else
            require_activation("layer_norm", what, view, dtype, batch, {desc_.rows, desc_.dim});
    }

    Plan plan(int batch) const {
        using dnnl::layer_normalization_forward;
        Plan plan;
        plan.x = dense({total_rows("layer_norm", batch, desc_.rows), desc_.dim}, desc_.x);
        plan.y = dense({total_rows("layer_norm", batch, desc_.rows), desc_.dim}, desc_.y);
        plan.weight = dense({desc_.dim}, DType::f32);
        const auto made = YEOUL_ONEDNN(layer_normalization_forward::primitive_desc(
            layer_normalization_forward::desc(dnnl::prop_kind::forward_inference, plan.x, desc_.eps,
                                              dnnl::normalization_flags::use_scale |
                                                  dnnl::normalization_flags::use_shift),
            user_scratchpad(), onednn_.engine));
        plan.normalize = YEOUL_ONEDNN(layer_normalization_forward(made));
        plan.scratchpad = made.scratchpad_desc();
        plan.kernel = made.impl_info_str();
        if (converts()) {
            const auto convert = YEOUL_ONEDNN(dnnl::reorder::primitive_desc(
                onednn_.engine, plan.x, onednn_.engine, plan.y, user_scratchpad()));
            plan.convert = YEOUL_ONEDNN(dnnl::reorder(convert));
            plan.convert_scratchpad = convert.scratchpad_desc();
            plan.kernel += std::string(" + reorder ") + convert.impl_info_str();
        }
        return plan;
    }

    Onednn onednn_;
    LayerNormDesc desc_;
    Batches batches_;
    Weights weight_, bias_;
    std::vector<Plan> plans_;
    size_t scratchpad_offset_ = 0, scratch_bytes_ = 0;
};

} // namespace

std::unique_ptr<LayerNorm> make_layer_norm(const Context& context, const LayerNormDesc& desc,
                                           const NormWeights& weights) {
    require_positive("layer_norm", "rows", desc.rows);
    require_positive("layer_norm", "dim", desc.dim);
    require_computable("layer_norm", "x", desc.x);
    require_computable("layer_norm", "y", desc.y);
    YEOUL_REQUIRE(desc.x == desc.y || desc.x == DType::f32,
                  "layer_norm: x is " << name(desc.x) << " and y is " << name(desc.y)
                                      << "; y must be the same dtype or narrower");
    require_weight("layer_norm", "weight", weights.weight, desc.dim);
    require_weight("layer_norm", "bias", weights.bias, desc.dim);
    std::unique_ptr<LayerNorm> made;
    run_with_math_threads(context.onednn.threads,
                          [&] { made = std::make_unique<CpuLayerNorm>(context, desc, weights); });
    return made;
}

} // namespace yeoul::cpu

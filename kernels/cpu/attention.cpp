// Attention as two batched products and a softmax by oneDNN, straight on the packed q, k, v.
//
// It goes through a batch in groups of photos whose scores, (group, heads, tokens, tokens) in fp32,
// stay in the cache; scratch holds one group's.
#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/checks.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/processor.h"
#include "kernels/cpu/threads.h"
#include "kernels/cpu/weights.h"

namespace yeoul::cpu {
namespace {

using dnnl::memory;

// Half of the smallest last-level cache that servers give to two cores.
constexpr size_t kGroupBytes = size_t{2} << 20;

class CpuAttention : public Attention {
public:
    CpuAttention(const Context& context, const AttentionDesc& desc)
        : onednn_(context.onednn), desc_(desc), batches_("attention", desc.batches) {
        if (desc.causal)
            make_mask(context);
        size_t scores_bytes = 0, weights_bytes = 0, scratchpad_bytes = 0;
        for (int batch : batches_.sizes()) {
            plans_.push_back(plan(batch));
            const Plan& plan = plans_.back();
            scores_bytes = std::max(scores_bytes, plan.scores.get_size());
            weights_bytes = std::max(weights_bytes, plan.weights.get_size());
            for (const memory::desc& scratchpad : plan.scratchpads)
                scratchpad_bytes = std::max(scratchpad_bytes, scratchpad.get_size());
        }
        ScratchLayout layout;
        scores_offset_ = layout.add(scores_bytes);
        weights_offset_ = narrow() ? layout.add(weights_bytes) : scores_offset_;
        scratchpad_offset_ = layout.add(scratchpad_bytes);
        scratch_bytes_ = layout.bytes();
    }

    void operator()(const View& qkv, const View& y, Scratch scratch, StreamRef stream) override {
        const int batch = leading(qkv), dim = desc_.heads * desc_.head_dim;
        const Plan& plan = plans_[batches_.index(batch)];
        require_activation("attention", "qkv", qkv, desc_.dtype, batch, {desc_.tokens, 3 * dim});
        require_activation("attention", "y", y, desc_.dtype, batch, {desc_.tokens, dim});
        require_scratch("attention", scratch, scratch_bytes_);
        const size_t photo_bytes = size_bytes(desc_.dtype) * desc_.tokens * dim;
        for (int first = 0; first < batch; first += plan.group)
            enqueue_group(plan, offset_bytes(qkv.data, 3 * photo_bytes * first),
                          offset_bytes(y.data, photo_bytes * first), scratch.data, worker(stream));
    }

    size_t scratch_bytes() const override { return scratch_bytes_; }
    size_t weight_bytes() const override { return mask_.bytes(); }
    std::string kernel(int batch) const override { return plans_[batches_.index(batch)].kernel; }

private:
    struct Plan {
        int group = 1; // photos at a time
        memory::desc q, k, v, y;
        memory::desc scores, weights;                   // before and after the softmax
        dnnl::primitive product, softmax, convert, mix; // convert: where `narrow`
        std::vector<memory::desc> scratchpads;          // of the four, in that order
        std::string kernel;
    };

    // The weights are stored in the dtype of v, narrower than the scores.
    bool narrow() const { return desc_.dtype != DType::f32; }

    // qkv, y: of the group's first photo.
    void enqueue_group(const Plan& plan, void* qkv, void* y, void* scratch,
                       WorkerStream& stream) const {
        const size_t part = size_bytes(desc_.dtype) * desc_.heads * desc_.head_dim;
        void* const scores = offset_bytes(scratch, scores_offset_);
        void* const weights = offset_bytes(scratch, weights_offset_);
        void* const pad = offset_bytes(scratch, scratchpad_offset_);
        if (desc_.causal)
            stream.enqueue([this, group = plan.group, scores](dnnl_stream*) {
                for (int i = 0; i < group * desc_.heads; ++i)
                    std::memcpy(offset_bytes(scores, i * mask_.bytes()), mask_.data(),
                                mask_.bytes());
            });
        stream.enqueue(Call(onednn_, plan.product,
                            {{DNNL_ARG_SRC, plan.q, qkv},
                             {DNNL_ARG_WEIGHTS, plan.k, offset_bytes(qkv, part)},
                             {DNNL_ARG_DST, plan.scores, scores},
                             {DNNL_ARG_SCRATCHPAD, plan.scratchpads[0], pad}}));
        stream.enqueue(Call(onednn_, plan.softmax,
                            {{DNNL_ARG_SRC, plan.scores, scores},
                             {DNNL_ARG_DST, plan.scores, scores},
                             {DNNL_ARG_SCRATCHPAD, plan.scratchpads[1], pad}}));
        if (narrow())
            stream.enqueue(Call(onednn_, plan.convert,
                                {{DNNL_ARG_FROM, plan.scores, scores},
                                 {DNNL_ARG_TO, plan.weights, weights},
                                 {DNNL_ARG_SCRATCHPAD, plan.scratchpads[2], pad}}));
        stream.enqueue(Call(onednn_, plan.mix,
                            {{DNNL_ARG_SRC, plan.weights, weights},
                             {DNNL_ARG_WEIGHTS, plan.v, offset_bytes(qkv, 2 * part)},
                             {DNNL_ARG_DST, plan.y, y},
                             {DNNL_ARG_SCRATCHPAD, plan.scratchpads[3], pad}}));
    }

    // (tokens, tokens): 0 where token i sees token j, else -infinity. The product is added to it.
    void make_mask(const Context& context) {
        const size_t tokens = desc_.tokens;
        mask_ = Weights(context.memory, sizeof(float) * tokens * tokens);
        if (context.memory.properties().dry)
            return;
        for (size_t i = 0; i < tokens; ++i)
            for (size_t j = 0; j < tokens; ++j)
                mask_.floats()[i * tokens + j] =
                    j <= i ? 0.0F : -std::numeric_limits<float>::infinity();
    }

    // The most photos whose scores fit, of those that divide the batch.
    int group(int batch) const {
        const size_t photo = sizeof(float) * desc_.heads * desc_.tokens * desc_.tokens;
        int group = std::clamp(static_cast<int>(kGroupBytes / photo), 1, batch);
        while (batch % group != 0)
            --group;
        return group;
    }

    Plan plan(int batch) const {
        Plan plan;
        plan.group = group(batch);
        const memory::dim g = plan.group, t = desc_.tokens, h = desc_.heads, d = desc_.head_dim;
        const memory::dim row = 3 * h * d; // of qkv
        const memory::data_type type = onednn_type(desc_.dtype);
        plan.q = {{g, h, t, d}, type, memory::dims{t * row, d, row, 1}};
        plan.k = {{g, h, d, t}, type, memory::dims{t * row, d, 1, row}};
        plan.v = plan.q;
        plan.y = {{g, h, t, d}, type, memory::dims{t * h * d, d, h * d, 1}};
        plan.scores = dense({g, h, t, t}, DType::f32);
        plan.weights = dense({g, h, t, t}, desc_.dtype);

        dnnl::post_ops add_mask;
        if (desc_.causal)
            add_mask.append_sum(1.0F);
        dnnl::primitive_attr scaled = user_scratchpad(add_mask);
        scaled.set_output_scales(0, {desc_.scale});
        const auto product = YEOUL_ONEDNN(dnnl::matmul::primitive_desc(
            dnnl::matmul::desc(plan.q, plan.k, plan.scores), scaled, onednn_.engine));
        const auto mix = YEOUL_ONEDNN(dnnl::matmul::primitive_desc(
            dnnl::matmul::desc(plan.weights, plan.v, plan.y), user_scratchpad(), onednn_.engine));
        plan.product = YEOUL_ONEDNN(dnnl::matmul(product));
        plan.mix = YEOUL_ONEDNN(dnnl::matmul(mix));

        plan.scratchpads = {product.scratchpad_desc(), {}, {}, mix.scratchpad_desc()};
        plan.kernel = std::string(product.impl_info_str()) + ", softmax " + plan_softmax(plan) +
                      ", " + mix.impl_info_str() + ", " + std::to_string(plan.group) +
                      " photos at a time";
        return plan;
    }

    // In fp32, then converted: straight into bf16 oneDNN stores the exponentials rounded and rounds
    // their quotients again, twice the error.
    std::string plan_softmax(Plan& plan) const {
        using dnnl::softmax_v2_forward;
        const auto softmax = YEOUL_ONEDNN(softmax_v2_forward::primitive_desc(
            softmax_v2_forward::desc(dnnl::prop_kind::forward_inference,
                                     dnnl::algorithm::softmax_accurate, plan.scores, plan.scores,
                                     3),
            user_scratchpad(), onednn_.engine));
        plan.softmax = YEOUL_ONEDNN(softmax_v2_forward(softmax));
        plan.scratchpads[1] = softmax.scratchpad_desc();
        std::string kernel = softmax.impl_info_str();
        if (narrow()) {
            const auto convert = YEOUL_ONEDNN(dnnl::reorder::primitive_desc(
                onednn_.engine, plan.scores, onednn_.engine, plan.weights, user_scratchpad()));
            plan.convert = YEOUL_ONEDNN(dnnl::reorder(convert));
            plan.scratchpads[2] = convert.scratchpad_desc();
            kernel += std::string(", reorder ") + convert.impl_info_str();
        }
        return kernel;
    }

    Onednn onednn_;
    AttentionDesc desc_;
    Batches batches_;
    Weights mask_;
    std::vector<Plan> plans_;
    size_t scores_offset_ = 0, weights_offset_ = 0, scratchpad_offset_ = 0, scratch_bytes_ = 0;
};

} // namespace

std::unique_ptr<Attention> make_attention(const Context& context, const AttentionDesc& desc) {
    require_positive("attention", "tokens", desc.tokens);
    require_positive("attention", "heads", desc.heads);
    require_positive("attention", "head_dim", desc.head_dim);
    YEOUL_REQUIRE(desc.scale > 0, "attention: scale is " << desc.scale << ", must be positive");
    require_computable("attention", "dtype", desc.dtype);
    std::unique_ptr<Attention> made;
    run_with_math_threads(context.onednn.threads,
                          [&] { made = std::make_unique<CpuAttention>(context, desc); });
    return made;
}

} // namespace yeoul::cpu

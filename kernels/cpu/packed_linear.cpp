#include "kernels/cpu/packed_linear.h"

#include <algorithm>
#include <cstdint>

#include "kernels/checks.h"

namespace yeoul::cpu {
namespace {

using dnnl::memory;

dnnl::post_ops post_ops(const LinearDesc& desc) {
    dnnl::post_ops ops;
    if (desc.accumulate)
        ops.append_sum(1.0F);
    switch (desc.activation) {
    case Activation::none:
        break;
    case Activation::quick_gelu: // swish(x) = x * sigmoid(alpha x)
        ops.append_eltwise(1.0F, dnnl::algorithm::eltwise_swish, 1.702F, 0.0F);
        break;
    case Activation::gelu:
        ops.append_eltwise(1.0F, dnnl::algorithm::eltwise_gelu_erf, 0.0F, 0.0F);
        break;
    case Activation::gelu_tanh:
        ops.append_eltwise(1.0F, dnnl::algorithm::eltwise_gelu_tanh, 0.0F, 0.0F);
        break;
    case Activation::relu:
        ops.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
        break;
    }
    return ops;
}

bool starts_with(const std::string& text, const char* start) {
    return text.rfind(start, 0) == 0;
}

void check_parts(const char* op, const LinearDesc& desc, const LinearWeights& weights) {
    YEOUL_REQUIRE(!weights.weight.empty(), op << ": no weight");
    size_t rows = 0;
    for (const View& part : weights.weight) {
        YEOUL_REQUIRE(part.rank >= 1, op << ": weight is " << part.to_string());
        require_weight(op, "weight", part, static_cast<size_t>(part.shape[0]) * desc.in);
        rows += part.shape[0];
    }
    YEOUL_REQUIRE(rows == static_cast<size_t>(desc.out),
                  op << ": weight has " << rows << " rows, must have " << desc.out);
    if (weights.bias.empty())
        return;
    YEOUL_REQUIRE(weights.bias.size() == weights.weight.size(),
                  op << ": bias has " << weights.bias.size() << " parts, weight has "
                     << weights.weight.size());
    for (size_t i = 0; i < weights.bias.size(); ++i)
        require_weight(op, "bias", weights.bias[i], weights.weight[i].shape[0]);
}

} // namespace

PackedLinear::PackedLinear(const char* op, const Context& context, const LinearDesc& desc,
                           const LinearWeights& weights, const std::vector<int>& rows)
    : onednn_(context.onednn), desc_(desc), has_bias_(!weights.bias.empty()) {
    check_parts(op, desc, weights);
    // The layout that suits the most rows serves all.
    const Form form = choose_form(rows.back());
    const memory::desc packed = plan(form, rows.back(), weight_desc(form, true)).weight;
    for (int count : rows) {
        plans_.push_back(plan(form, count, packed));
        scratch_bytes_ = std::max(scratch_bytes_, plans_.back().scratchpad.get_size());
    }
    bias_ = stack_fp32(context, weights.bias);
    pack(context, weights.weight, weight_desc(form, false), packed);
}

// From the file's own memory where that is one run of floats, else by way of staging.
void PackedLinear::pack(const Context& context, const std::vector<View>& parts,
                        const memory::desc& plain, const memory::desc& packed) {
    weight_ = Weights(context.memory, packed.get_size());
    const View& first = parts.front();
    const bool in_place = parts.size() == 1 && first.dtype == DType::f32 &&
                          reinterpret_cast<uintptr_t>(first.data) % alignof(float) == 0;
    const PinnedMemory staging =
        make_pinned_memory(context.memory, in_place ? 0 : count_values(parts) * sizeof(float));
    if (context.memory.properties().dry)
        return;
    if (!in_place)
        stack_fp32(parts, static_cast<float*>(staging.get()));
    reorder_now(onednn_, plain, in_place ? first.data : staging.get(), packed, weight_.data());
}

// oneDNN 2.6 has a matrix product on packed weights for AVX-512 ("brg"). For AVX2 it has only a
// general one that packs at every call; its 1x1 convolution is the same product on packed weights
// and took 5 to 40 % less time at every shape of ViT-B/32 on Zen 3.
PackedLinear::Form PackedLinear::choose_form(int rows) const {
    if (starts_with(plan(Form::matmul, rows, weight_desc(Form::matmul, true)).kernel, "brg"))
        return Form::matmul;
    try {
        const std::string kernel =
            plan(Form::convolution, rows, weight_desc(Form::convolution, true)).kernel;
        if (starts_with(kernel, "jit_1x1") || starts_with(kernel, "brg"))
            return Form::convolution;
    } catch (const Error& error) {
        if (error.code() != ErrorCode::device) // unimplemented
            throw;
    }
    return Form::matmul;
}

// As files have it, (out, in) row by row in fp32, or whatever suits oneDNN.
memory::desc PackedLinear::weight_desc(Form form, bool packed) const {
    const memory::dim in = desc_.in, out = desc_.out;
    const memory::dims extents =
        form == Form::matmul ? memory::dims{in, out} : memory::dims{out, in, 1, 1};
    if (packed)
        return {extents, onednn_type(desc_.x), memory::format_tag::any};
    return {extents, memory::data_type::f32,
            form == Form::matmul ? memory::dims{1, in} : memory::dims{in, 1, 1, 1}};
}

PackedLinear::Plan PackedLinear::plan(Form form, int rows, const memory::desc& weight) const {
    const memory::dim in = desc_.in, out = desc_.out;
    const memory::data_type x_type = onednn_type(desc_.x), y_type = onednn_type(desc_.y);
    const dnnl::primitive_attr attributes = user_scratchpad(post_ops(desc_));
    Plan plan;
    if (form == Form::matmul) {
        const memory::desc x({rows, in}, x_type, memory::format_tag::ab);
        const memory::desc y({rows, out}, y_type, memory::format_tag::ab);
        const memory::desc bias =
            has_bias_ ? memory::desc({1, out}, memory::data_type::f32, memory::format_tag::ab)
                      : memory::desc();
        const auto made = YEOUL_ONEDNN(dnnl::matmul::primitive_desc(
            dnnl::matmul::desc(x, weight, bias, y), attributes, onednn_.engine));
        plan = {YEOUL_ONEDNN(dnnl::matmul(made)),
                x,
                made.weights_desc(),
                bias,
                y,
                made.scratchpad_desc(),
                made.impl_info_str()};
    } else {
        // Each row is a pixel.
        const memory::desc x({1, in, 1, rows}, x_type, memory::format_tag::nhwc);
        const memory::desc y({1, out, 1, rows}, y_type, memory::format_tag::nhwc);
        const memory::desc bias =
            has_bias_ ? memory::desc({out}, memory::data_type::f32, memory::format_tag::a)
                      : memory::desc();
        const auto made = YEOUL_ONEDNN(dnnl::convolution_forward::primitive_desc(
            dnnl::convolution_forward::desc(dnnl::prop_kind::forward_inference,
                                            dnnl::algorithm::convolution_direct, x, weight, bias, y,
                                            {1, 1}, {0, 0}, {0, 0}),
            attributes, onednn_.engine));
        plan = {YEOUL_ONEDNN(dnnl::convolution_forward(made)),
                x,
                made.weights_desc(),
                bias,
                y,
                made.scratchpad_desc(),
                made.impl_info_str()};
    }
    return plan;
}

Call PackedLinear::call(size_t index, void* x, void* y, void* scratch) const {
    const Plan& plan = plans_[index];
    return Call(onednn_, plan.primitive,
                {{DNNL_ARG_SRC, plan.x, x},
                 {DNNL_ARG_WEIGHTS, plan.weight, weight_.data()},
                 {DNNL_ARG_BIAS, plan.bias, bias_.data()},
                 {DNNL_ARG_DST, plan.y, y},
                 {DNNL_ARG_SCRATCHPAD, plan.scratchpad, scratch}});
}

} // namespace yeoul::cpu

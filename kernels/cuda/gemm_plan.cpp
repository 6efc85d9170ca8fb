#include "kernels/cuda/gemm_plan.h"

#include <algorithm>

namespace yeoul::cuda {
namespace {

// cuBLAS takes for itself 32 MiB on Hopper and 4 MiB elsewhere.
size_t workspace_limit(int sm) {
    return size_t{sm >= 90 ? 32U : 4U} << 20;
}

} // namespace

GemmMachine machine_of(const Context& context) {
    return {context.sm, context.sm_count, context.library};
}

GemmPlan::GemmPlan(const Context& context, const GemmShape& shape, const GemmChoice& choice,
                   bool has_bias)
    : shape_(shape), choice_(choice) {
    if (!choice.library) {
        prepare_gemm(shape, choice.own);
        return;
    }
    try {
        plan_library(context, has_bias);
    } catch (const Error& error) {
        // The library refuses shapes that the own products take, odd ones on newer GPUs for
        // instance.
        if (error.code() != ErrorCode::device)
            throw;
        library_.reset();
        half_bias_ = pass_ = false;
        choice_ = {false, best_own(machine_of(context), shape)};
        prepare_gemm(shape, choice_.own);
    }
}

void GemmPlan::plan_library(const Context& context, bool has_bias) {
    const bool fused = context.library->fuses(shape_.activation);
    half_bias_ = fused && has_bias;
    pass_ = !fused && (has_bias || shape_.activation != Activation::none);
    GemmShape product = shape_;
    if (!fused)
        product.activation = Activation::none;
    library_name_ = context.library->name();
    library_name_.resize(std::min(library_name_.find('-'), library_name_.size()));
    library_ = context.library->plan(product, padded(shape_.inner, kGemmInner), half_bias_,
                                     workspace_limit(context.sm));
    if (pass_)
        prepare_bias_activation();
}

size_t GemmPlan::scratch_bytes() const {
    return library_ ? library_->workspace_bytes() : gemm_scratch_bytes(shape_, choice_.own);
}

std::string GemmPlan::name() const {
    if (library_)
        return library_name_ + (pass_ ? " + bias_activation" : "");
    const std::string tile = std::string("own ") + kGemmTiles[choice_.own.tile].name;
    return choice_.own.splits == 1 ? tile : tile + " split-K " + std::to_string(choice_.own.splits);
}

void GemmPlan::run(const Operands& operands, void* scratch, StreamRef stream) const {
    if (!library_) {
        gemm(shape_, choice_.own,
             {operands.x, operands.w, operands.bias, operands.y, static_cast<float*>(scratch)},
             stream);
        return;
    }
    library_->run(operands.x, operands.w, half_bias_ ? operands.half_bias : nullptr, operands.y,
                  scratch, stream);
    if (pass_)
        bias_activation(operands.y, operands.bias, shape_.rows, shape_.columns, shape_.activation,
                        stream);
}

} // namespace yeoul::cuda

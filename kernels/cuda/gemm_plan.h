// One product of one shape, as it was decided: own or library, with what it needs at the call.
#pragma once

#include <memory>
#include <string>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/gemm_library.h"
#include "kernels/cuda/gemm_table.h"

namespace yeoul::cuda {

GemmMachine machine_of(const Context& context);

class GemmPlan {
public:
    struct Operands {
        const void* x = nullptr;
        const void* w = nullptr;         // as GemmCall has it
        const float* bias = nullptr;     // as GemmCall has it; zeros where there is none
        const void* half_bias = nullptr; // (columns) fp16, where `needs_half_bias`
        void* y = nullptr;
    };

    /// `has_bias` false: the values of `Operands::bias` are zeros. A shape that the library refuses
    /// is served by the best own tile.
    GemmPlan(const Context& context, const GemmShape& shape, const GemmChoice& choice,
             bool has_bias);
    size_t scratch_bytes() const;
    bool needs_half_bias() const { return half_bias_; }
    /// "own 128x96x32 split-K 4", "cuBLASLt", "cuBLASLt + bias_activation"
    std::string name() const;
    void run(const Operands& operands, void* scratch, StreamRef stream) const;

    /// Whether the library serves it; it may have refused.
    bool by_library() const { return library_ != nullptr; }

private:
    void plan_library(const Context& context, bool has_bias);

    GemmShape shape_;
    GemmChoice choice_;
    std::string library_name_;
    std::unique_ptr<GemmLibrary::Plan> library_;
    bool half_bias_ = false, pass_ = false;
};

} // namespace yeoul::cuda

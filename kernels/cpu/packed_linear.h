// A matrix packed once for oneDNN, and the plans that multiply by it.
#pragma once

#include <string>
#include <vector>

#include "kernels/cpu/weights.h"
#include "kernels/ops.h"

namespace yeoul::cpu {

/// y = act(x w^T + bias), or y += x w^T + bias, for x of (rows, in) with any of the planned rows.
class PackedLinear {
public:
    /// `desc.rows` and `desc.batches` are not used: `rows` has the row counts to plan for, in
    /// ascending order. Call it under `run_with_math_threads`.
    PackedLinear(const char* op, const Context& context, const LinearDesc& desc,
                 const LinearWeights& weights, const std::vector<int>& rows);

    /// `plan` is an index into `rows`.
    Call call(size_t plan, void* x, void* y, void* scratch) const;
    size_t scratch_bytes() const { return scratch_bytes_; }
    size_t weight_bytes() const { return weight_.bytes() + bias_.bytes(); }
    const std::string& kernel(size_t plan) const { return plans_[plan].kernel; }

private:
    struct Plan {
        dnnl::primitive primitive;
        dnnl::memory::desc x, weight, bias, y, scratchpad;
        std::string kernel;
    };
    enum class Form { matmul, convolution };

    Form choose_form(int rows) const;
    Plan plan(Form form, int rows, const dnnl::memory::desc& weight) const;
    dnnl::memory::desc weight_desc(Form form, bool packed) const;
    void pack(const Context& context, const std::vector<View>& parts,
              const dnnl::memory::desc& plain, const dnnl::memory::desc& packed);

    Onednn onednn_;
    LinearDesc desc_;
    bool has_bias_;
    std::vector<Plan> plans_;
    Weights weight_, bias_;
    size_t scratch_bytes_ = 0;
};

} // namespace yeoul::cpu

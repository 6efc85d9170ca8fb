// A vendor's matrix products, behind a seam: cuBLASLt in the product, none on the emulator.
#pragma once

#include <memory>
#include <string>

#include "kernels/cuda/context.h"
#include "kernels/cuda/gemm.h"
#include "kernels/ops.h"

namespace yeoul::cuda {

class GemmLibrary {
public:
    /// One product, chosen while an op is made. May run on several streams at once, each with its
    /// own workspace.
    class Plan {
    public:
        virtual ~Plan() = default;
        /// At most the limit it was planned with.
        virtual size_t workspace_bytes() const = 0;
        /// `bias` (columns) fp16, null where it was planned without. Pointers are 16-byte aligned,
        /// the workspace 64-byte.
        virtual void run(const void* x, const void* w, const void* bias, void* y, void* workspace,
                         StreamRef stream) const = 0;
    };

    virtual ~GemmLibrary() = default;
    /// Name and version as one word, "cuBLASLt-13.1.0": a table's rows hold for one version.
    virtual std::string name() const = 0;
    /// Whether a plan does bias and this activation itself. Where not, it is asked for the bare
    /// product (or sum), and `bias_activation` ends it: y is then rounded twice.
    virtual bool fuses(Activation activation) const = 0;
    /// w's rows start `w_stride` values apart, a multiple of 8; x's and y's are dense.
    virtual std::unique_ptr<Plan> plan(const GemmShape& shape, int w_stride, bool bias,
                                       size_t workspace_limit) const = 0;
};

} // namespace yeoul::cuda

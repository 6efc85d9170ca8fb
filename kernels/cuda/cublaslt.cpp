// Row by row, y (rows, columns) = x w^T is column by column y^T = w x^T: cuBLASLt's A is w,
// transposed, its B is x, and its m is `columns`. The bias of its rows is then ours of columns.
#include "kernels/cuda/cublaslt.h"

#include <algorithm>
#include <mutex>
#include <string>
#include <type_traits>

#include <cublasLt.h>

#include <yeoul/error.h>

#include "kernels/cuda/check.h"

namespace yeoul::cuda {
namespace {

// A lost context answers every call with what became of it. cuBLASLt has a CUDA runtime of its own,
// so ours has not heard of it yet, and only a call that reaches the context tells.
void throw_if_lost() {
    YEOUL_CUDA(cudaGetLastError());
    size_t free = 0, total = 0;
    YEOUL_CUDA(cudaMemGetInfo(&free, &total));
}

[[noreturn]] void throw_cublas_error(cublasStatus_t status, const char* expression, int line) {
    const std::string text = std::string("cuBLASLt: ") + cublasLtGetStatusString(status) +
                             ", from " + expression + " at " + __FILE__ + ":" +
                             std::to_string(line);
    switch (status) {
    case CUBLAS_STATUS_ALLOC_FAILED:
        throw OutOfMemory(0, "cuBLASLt");
    case CUBLAS_STATUS_ARCH_MISMATCH: // of this shape on this GPU: an own product serves
    case CUBLAS_STATUS_NOT_SUPPORTED:
        throw Error(ErrorCode::device, text);
    // NOT_INITIALIZED serves nothing. EXECUTION_FAILED and INTERNAL_ERROR are also what it makes of
    // a kernel that it could not load: the next product may succeed.
    default:
        throw_if_lost();
        throw Error(ErrorCode::internal, text);
    }
}

#define YEOUL_CUBLAS(expression)                                                                   \
    do {                                                                                           \
        const cublasStatus_t yeoul_status_ = (expression);                                         \
        if (yeoul_status_ != CUBLAS_STATUS_SUCCESS)                                                \
            throw_cublas_error(yeoul_status_, #expression, __LINE__);                              \
    } while (false)

template <auto destroy>
struct Destroy {
    template <class T>
    void operator()(T* handle) const noexcept {
        (void)destroy(handle);
    }
};
using Handle = std::unique_ptr<std::remove_pointer_t<cublasLtHandle_t>, Destroy<cublasLtDestroy>>;
using Layout = std::unique_ptr<std::remove_pointer_t<cublasLtMatrixLayout_t>,
                               Destroy<cublasLtMatrixLayoutDestroy>>;
using Product = std::unique_ptr<std::remove_pointer_t<cublasLtMatmulDesc_t>,
                                Destroy<cublasLtMatmulDescDestroy>>;
using Preference = std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>,
                                   Destroy<cublasLtMatmulPreferenceDestroy>>;

Layout layout(int rows, int columns, int stride) { // column by column
    cublasLtMatrixLayout_t made = nullptr;
    YEOUL_CUBLAS(cublasLtMatrixLayoutCreate(&made, CUDA_R_16F, rows, columns, stride));
    return Layout(made);
}

template <class T>
void set(const Product& product, cublasLtMatmulDescAttributes_t attribute, const T& value) {
    YEOUL_CUBLAS(cublasLtMatmulDescSetAttribute(product.get(), attribute, &value, sizeof value));
}
template <class T>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute,
         const T& value) {
    YEOUL_CUBLAS(
        cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value));
}

cublasLtEpilogue_t epilogue(Activation activation, bool bias) {
    if (activation == Activation::relu)
        return bias ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_RELU;
    return bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
}

// The largest power of two that divides rows of so many bytes, up to what ops demand of pointers.
uint32_t row_alignment(int row_bytes) {
    const auto bytes = static_cast<uint32_t>(row_bytes);
    return std::min(bytes & (~bytes + 1), 16U);
}

class CublasLtPlan final : public GemmLibrary::Plan {
public:
    CublasLtPlan(cublasLtHandle_t handle, const GemmShape& shape, int w_stride, bool bias,
                 size_t workspace_limit)
        : handle_(handle), shape_(shape), bias_(bias),
          w_(layout(shape.inner, shape.columns, w_stride)),
          x_(layout(shape.inner, shape.rows, shape.inner)),
          y_(layout(shape.columns, shape.rows, shape.columns)), product_(describe(nullptr)) {
        cublasLtMatmulPreference_t created = nullptr;
        YEOUL_CUBLAS(cublasLtMatmulPreferenceCreate(&created));
        const Preference preference(created);
        set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
            static_cast<uint64_t>(workspace_limit));
        // Partial sums in fp16 would round more than once.
        set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
            static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
        set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, row_alignment(2 * w_stride));
        set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, row_alignment(2 * shape.inner));
        set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            row_alignment(2 * shape.columns));
        set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
            row_alignment(2 * shape.columns));
        int found = 0;
        cublasLtMatmulHeuristicResult_t result{};
        YEOUL_CUBLAS(cublasLtMatmulAlgoGetHeuristic(handle_, product_.get(), w_.get(), x_.get(),
                                                    y_.get(), y_.get(), preference.get(), 1,
                                                    &result, &found));
        if (found == 0 || result.state != CUBLAS_STATUS_SUCCESS)
            throw Error(ErrorCode::device, "cuBLASLt has no product of (" +
                                               std::to_string(shape.rows) + ", " +
                                               std::to_string(shape.inner) + ") and (" +
                                               std::to_string(shape.columns) + ", " +
                                               std::to_string(shape.inner) + ") in fp16");
        algorithm_ = result.algo;
        workspace_bytes_ = result.workspaceSize;
    }

    size_t workspace_bytes() const override { return workspace_bytes_; }

    void run(const void* x, const void* w, const void* bias, void* y, void* workspace,
             StreamRef stream) const override {
        // The bias is a part of the description, which other threads may be using: each call with
        // one has its own.
        const Product own = bias_ ? describe(bias) : nullptr;
        const float alpha = 1, beta = shape_.accumulate ? 1.0F : 0.0F;
        YEOUL_CUBLAS(cublasLtMatmul(handle_, own ? own.get() : product_.get(), &alpha, w, w_.get(),
                                    x, x_.get(), &beta, y, y_.get(), y, y_.get(), &algorithm_,
                                    workspace, workspace_bytes_,
                                    static_cast<cudaStream_t>(stream.handle())));
    }

private:
    Product describe(const void* bias) const {
        cublasLtMatmulDesc_t made = nullptr;
        YEOUL_CUBLAS(cublasLtMatmulDescCreate(&made, CUBLAS_COMPUTE_32F, CUDA_R_32F));
        Product product(made);
        set(product, CUBLASLT_MATMUL_DESC_TRANSA, static_cast<int32_t>(CUBLAS_OP_T));
        set(product, CUBLASLT_MATMUL_DESC_EPILOGUE,
            static_cast<uint32_t>(epilogue(shape_.activation, bias_)));
        if (bias_)
            set(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias); // of y's type, fp16
        return product;
    }

    cublasLtHandle_t handle_;
    GemmShape shape_;
    bool bias_;
    Layout w_, x_, y_;
    Product product_;
    cublasLtMatmulAlgo_t algorithm_{};
    size_t workspace_bytes_ = 0;
};

class CublasLt final : public GemmLibrary {
public:
    std::string name() const override {
        const size_t version = cublasLtGetVersion();
        return "cuBLASLt-" + std::to_string(version / 10000) + "." +
               std::to_string(version / 100 % 100) + "." + std::to_string(version % 100);
    }
    // It has neither QuickGELU nor GELU by erf. Its GELU is by tanh, but by the instruction
    // tanh.approx, whose relative error of 2^-11 (PTX ISA) is another rounding of fp16 and not
    // ours, and on sm_75 it is a second kernel anyway: our pass costs the same and has our numbers.
    bool fuses(Activation activation) const override {
        return activation == Activation::none || activation == Activation::relu;
    }
    std::unique_ptr<Plan> plan(const GemmShape& shape, int w_stride, bool bias,
                               size_t workspace_limit) const override {
        return std::make_unique<CublasLtPlan>(handle(), shape, w_stride, bias, workspace_limit);
    }

private:
    // One handle for all: it holds no workspace of a stream, so products may run side by side.
    cublasLtHandle_t handle() const {
        const std::lock_guard lock(mutex_);
        if (!handle_) {
            cublasLtHandle_t made = nullptr;
            YEOUL_CUBLAS(cublasLtCreate(&made));
            handle_.reset(made);
        }
        return handle_.get();
    }

    mutable std::mutex mutex_;
    mutable Handle handle_;
};

} // namespace

std::unique_ptr<GemmLibrary> make_cublaslt() {
    return std::make_unique<CublasLt>();
}

} // namespace yeoul::cuda

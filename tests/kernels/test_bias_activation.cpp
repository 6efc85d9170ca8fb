// The way through a library: what it leaves to do, and who gets which bias.
#include <cmath>
#include <cstring>
#include <mutex>

#include "kernels/cuda/gemm_library.h"
#include "kernels/cuda/gemm_table.h"
#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/kernels/reference.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

// A library whose products are the own ones. It reads its bias on the host, so it works on the
// emulator alone, where device memory is host memory.
class BorrowedPlan final : public cuda::GemmLibrary::Plan {
public:
    BorrowedPlan(const cuda::GemmShape& shape, bool bias)
        : shape_(shape), has_bias_(bias),
          bias_(cuda::padded(shape.columns, cuda::kGemmPadding), 0.0F) {
        cuda::prepare_gemm(shape_, kHow);
    }
    size_t workspace_bytes() const override { return 640; }
    void run(const void* x, const void* w, const void* bias, void* y, void* workspace,
             StreamRef stream) const override {
        CHECK((bias != nullptr) == has_bias_);
        CHECK(workspace != nullptr);
        if (bias != nullptr)
            std::call_once(once_, [&] {
                const size_t columns = shape_.columns;
                std::vector<std::byte> bytes(2 * columns);
                std::memcpy(bytes.data(), bias, bytes.size());
                const std::vector<float> values = decode(bytes, DType::f16);
                std::copy(values.begin(), values.end(), bias_.begin());
            });
        cuda::gemm(shape_, kHow, {x, w, bias_.data(), y, nullptr}, stream);
    }

private:
    static constexpr cuda::OwnGemm kHow{3, 1};
    cuda::GemmShape shape_;
    bool has_bias_;
    mutable std::once_flag once_;
    mutable std::vector<float> bias_;
};

class BorrowedLibrary final : public cuda::GemmLibrary {
public:
    explicit BorrowedLibrary(bool fuses) : fuses_(fuses) {}
    std::string name() const override { return "borrowed-1.0.0"; }
    bool fuses(Activation activation) const override {
        return fuses_ && activation != Activation::quick_gelu;
    }
    std::unique_ptr<Plan> plan(const cuda::GemmShape& shape, int w_stride, bool bias,
                               size_t workspace_limit) const override {
        CHECK(w_stride == cuda::padded(shape.inner, 32));
        CHECK(workspace_limit >= 640);
        CHECK((shape.activation == Activation::none || fuses(shape.activation)));
        return std::make_unique<BorrowedPlan>(shape, bias);
    }

private:
    bool fuses_;
};

void check_bias_activation(bool fuses, int rows, int out, Activation activation, bool accumulate,
                           bool has_bias, const std::string& kernel) {
    INFO("fuses " << fuses << ", rows " << rows << ", out " << out << ", activation "
                  << static_cast<int>(activation) << ", accumulate " << accumulate << ", bias "
                  << has_bias);
    const int in = 40;
    const cuda::GemmChoice library{true, {}};
    const auto backend = cuda::make_backend(
        {.library = std::make_unique<BorrowedLibrary>(fuses),
         .table = std::make_unique<cuda::GemmTable>(std::vector<cuda::GemmTable::Row>{
             {75, "borrowed-1.0.0", {rows, out, in, activation, accumulate}, library, {}}})});
    const auto x = random_eighths(static_cast<size_t>(rows) * in, 1, 1);
    const auto w = random_eighths(static_cast<size_t>(out) * in, 1, 2);
    const auto bias = has_bias ? random_eighths(out, 4, 3) : std::vector<float>();
    const auto before =
        accumulate ? random_eighths(static_cast<size_t>(rows) * out, 8, 4) : std::vector<float>();
    LinearDesc desc;
    desc.rows = rows;
    desc.in = in;
    desc.out = out;
    desc.activation = activation;
    desc.accumulate = accumulate;
    desc.x = desc.y = DType::f16;
    desc.batches = {1};
    const HostTensor weight(DType::f32, {out, in}, w);
    const HostTensor added(DType::f32, {out}, has_bias ? bias : std::vector<float>(out));
    const auto op = backend->linear(
        desc, {{weight.view()}, has_bias ? std::vector<View>{added.view()} : std::vector<View>{}});
    CHECK(op->kernel(1) == kernel + " (predicted)");
    CHECK(op->scratch_bytes() == 640);
    const DeviceTensor input(*backend, DType::f16, {1, rows, in}, x);
    const auto y =
        run_every_way(*backend, op->scratch_bytes(), {{DType::f16, {1, rows, out}, before}},
                      [&](const std::vector<View>& y_out, Scratch scratch, StreamRef stream) {
                          (*op)(input.view(), y_out[0], scratch, stream);
                      });
    auto reference = linear(x, w, bias, in, out, activation);
    for (size_t i = 0; i < before.size(); ++i)
        reference[i] += before[i];
    // Sums of 40 products stay below 32 and are multiples of 1/64: 11 bits, exact even where they
    // are rounded between library and pass. Then as in the tests of the own product.
    std::vector<double> tolerance;
    for (double value : reference)
        tolerance.push_back(rounding(DType::f16, value) + 1e-5 + 4e-6 * std::abs(value));
    check_close(y[0], reference, tolerance);
}

} // namespace

TEST_CASE("bias_activation: ends what a library cannot, at every width") {
    for (int out : {1, 7, 8, 9, 64, 72})
        for (int rows : {1, 37})
            for (Activation activation :
                 {Activation::none, Activation::quick_gelu, Activation::gelu, Activation::gelu_tanh,
                  Activation::relu})
                check_bias_activation(false, rows, out, activation, false, true,
                                      "borrowed + bias_activation");
    // 256 packs of eight fill a block: one below, at and above
    for (int rows : {255, 256, 257})
        check_bias_activation(false, rows, 8, Activation::quick_gelu, false, true,
                              "borrowed + bias_activation");
}

TEST_CASE("bias_activation: runs only where the library needs it") {
    check_bias_activation(true, 5, 24, Activation::none, false, true, "borrowed");
    check_bias_activation(true, 5, 24, Activation::none, false, false, "borrowed");
    check_bias_activation(true, 5, 24, Activation::relu, false, true, "borrowed");
    check_bias_activation(true, 5, 24, Activation::gelu_tanh, false, false, "borrowed");
    check_bias_activation(true, 5, 24, Activation::quick_gelu, false, false,
                          "borrowed + bias_activation");
    check_bias_activation(true, 5, 24, Activation::none, true, true, "borrowed");
    check_bias_activation(false, 5, 24, Activation::none, true, true, "borrowed + bias_activation");
    check_bias_activation(false, 5, 24, Activation::none, true, false, "borrowed");
}

#include <cmath>
#include <string>

#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/kernels/reference.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

// Gains around 1 and biases, all different.
std::vector<float> gains(int dim) {
    auto values = random_eighths(dim, 1, 11);
    for (float& value : values)
        value = 1 + value / 2;
    return values;
}

// One call of an op over `x` (batch, rows, dim), which is rounded to `x_dtype` first.
struct Norm {
    int batch, rows, dim;
    DType x_dtype, y_dtype;
    float eps = 1e-5F;

    std::vector<float> run(Backend& backend, const std::vector<float>& x,
                           const std::vector<float>& weight, const std::vector<float>& bias) const {
        LayerNormDesc desc;
        desc.rows = rows;
        desc.dim = dim;
        desc.eps = eps;
        desc.x = x_dtype;
        desc.y = y_dtype;
        desc.batches = {batch, batch + 2};
        const auto op = backend.layer_norm(desc, {HostTensor(DType::f32, {dim}, weight).view(),
                                                  HostTensor(DType::f32, {dim}, bias).view()});
        const DeviceTensor input(backend, x_dtype, {batch, rows, dim}, x);
        return run_every_way(backend, op->scratch_bytes(), {{y_dtype, {batch, rows, dim}}},
                             [&](const std::vector<View>& out, Scratch scratch, StreamRef stream) {
                                 (*op)(input.view(), out[0], scratch, stream);
                             })[0];
    }
    void check(Backend& backend, std::vector<float> x, const std::vector<float>& weight,
               const std::vector<float>& bias) const {
        INFO("batch " << batch << ", rows " << rows << ", dim " << dim << ", " << name(x_dtype)
                      << " to " << name(y_dtype));
        x = decode(encode(x, x_dtype), x_dtype);
        check_close(run(backend, x, weight, bias), layer_norm(widened(x), weight, bias, eps),
                    layer_norm_tolerance(widened(x), weight, bias, eps, y_dtype));
    }
};

void check_layer_norm(Backend& backend, int batch, int rows, int dim, DType x_dtype, DType y_dtype,
                      float mean) {
    INFO("mean " << mean);
    auto x = random_eighths(static_cast<size_t>(batch) * rows * dim, 4, 21);
    for (float& value : x)
        value += mean;
    Norm{batch, rows, dim, x_dtype, y_dtype}.check(backend, x, gains(dim),
                                                   random_eighths(dim, 1, 12));
}

} // namespace

TEST_CASE("layer_norm: equals the reference at small, odd and model shapes") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (float mean : {0.0F, 3.0F})
            for (int dim : {1, 2, 3, 7, 8, 9, 17, 31, 64, 65, 192, 768, 1024}) {
                check_layer_norm(backend, 1, 1, dim, numerics.residual, numerics.compute, mean);
                check_layer_norm(backend, 3, 5, dim, numerics.residual, numerics.compute, mean);
                if (numerics.residual != numerics.compute)
                    check_layer_norm(backend, 2, 3, dim, numerics.compute, numerics.compute, mean);
            }
        check_layer_norm(backend, 2, 50, 768, numerics.residual, numerics.compute, 1);
    });
}

TEST_CASE("layer_norm: equals the reference around each width of a row and each size of a block") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        const DType x = numerics.residual, y = numerics.compute;
        // A lane of the CUDA kernels keeps 1 to 8 packs of 8 values: 256 values a pack and warp.
        for (int packs = 1; packs <= 8; ++packs)
            for (int dim : {256 * packs - 8, 256 * packs, 256 * packs + 1, 256 * packs + 8})
                check_layer_norm(backend, 1, 1, dim, x, y, 1);
        // 40 SMs: 1 row to a block up to 159 rows, 4 from 320 on, the last block full or not.
        for (int rows : {80, 159, 160, 161, 241, 319, 320, 323})
            check_layer_norm(backend, 1, rows, 8, x, y, 1);
        check_layer_norm(backend, 7, 46, 5, x, y, 1);
    });
}

// A difference of two sums would lose the variance: 2000^2 is 2^20 times the square of a deviation.
TEST_CASE("layer_norm: a mean far above the deviation costs no digits") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (int dim : {67, 768})
            check_layer_norm(backend, 1, 3, dim, numerics.residual, numerics.compute, 2000);
    });
}

TEST_CASE("layer_norm: planted outliers cost the other channels no digits") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (int dim : {64, 99, 768, 1024, 2056})
            for (float outlier : {2e3F, 3e4F}) {
                const int rows = 4;
                auto x = random_eighths(static_cast<size_t>(rows) * dim, 4, 23);
                x[5] = outlier;                              // one
                x[dim] = outlier, x[2 * dim - 1] = -outlier; // two that cancel in the mean
                for (int i = 0; i < dim; i += 9)
                    x[2 * dim + i] = i % 2 ? -outlier : outlier; // many
                const float gain = outlier / 32; // a model gives its outlier channels small gains
                auto weight = gains(dim);
                weight[5] /= gain;
                Norm{1, rows, dim, numerics.residual, numerics.compute}.check(
                    backend, x, weight, random_eighths(dim, 1, 12));
            }
    });
}

TEST_CASE("layer_norm: eps counts where the variance is small") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (int dim : {32, 33}) {
            std::vector<float> x(dim);
            for (int i = 0; i < dim; ++i)
                x[i] = i % 2 ? 0x1p-10F : -0x1p-10F; // variance 2^-20, about 1e-6
            for (float eps : {1e-12F, 1e-6F, 1e-5F})
                Norm{1, 1, dim, numerics.residual, numerics.compute, eps}.check(
                    backend, x, std::vector<float>(dim, 1), std::vector<float>(dim, 0));
        }
    });
}

TEST_CASE("layer_norm: a row with NaN or infinity is NaN throughout, and no other is") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (int dim : {8, 9, 520})
            for (float bad : {NAN, INFINITY, -INFINITY}) {
                INFO("dim " << dim << ", " << bad);
                auto x = random_eighths(static_cast<size_t>(3) * dim, 4, 24);
                x[2 * dim - 1] = bad;
                const auto y = Norm{1, 3, dim, numerics.residual, numerics.compute}.run(
                    backend, x, gains(dim), random_eighths(dim, 1, 12));
                int wrong = 0;
                for (int i = 0; i < 3 * dim; ++i)
                    wrong += std::isnan(y[i]) != (i / dim == 1);
                CHECK(wrong == 0);
            }
    });
}

TEST_CASE("layer_norm: refuses what does not fit, by name") {
    on_each_backend([](Backend& backend) {
        const DType dtype = backend.numerics("auto").compute;
        const DType other = dtype == DType::f32 ? DType::f16 : DType::f32;
        LayerNormDesc desc;
        desc.rows = 3;
        desc.dim = 8;
        desc.x = desc.y = dtype;
        desc.batches = {2};
        const HostTensor weight(DType::f32, {8}, gains(8));
        const auto op = backend.layer_norm(desc, {weight.view(), weight.view()});
        const DeviceTensor x(backend, dtype, {2, 3, 8}), y(backend, dtype, {2, 3, 8});
        const DeviceMemory memory = make_device_memory(backend, op->scratch_bytes());
        const Scratch scratch{memory.get(), op->scratch_bytes()};
        const Stream stream(backend);
        const auto refused = [&](const View& a, const View& b) {
            return error_of(ErrorCode::invalid_argument, [&] { (*op)(a, b, scratch, stream); });
        };
        CHECK(contains(refused(View(x.view().data, dtype, {1, 3, 8}), y.view()), "batch 1"));
        CHECK(contains(refused(View(x.view().data, other, {2, 3, 8}), y.view()),
                       std::string("x is (2, 3, 8) ") + std::string(name(other))));
        CHECK(contains(refused(x.view(), View(y.view().data, dtype, {2, 3, 9})), "(2, 3, 9)"));
        CHECK(contains(refused(x.view(), View(y.view().data, dtype, {2, 3, -8})), "(2, 3, -8)"));
        CHECK(contains(refused(x.view(), View(nullptr, dtype, {2, 3, 8})), "y has no data"));
        CHECK(contains(refused(View(nullptr, dtype, {2, 3, 8}), y.view()), "x has no data"));
        const auto contradicts = [&](int rows, int dim, const View& bias) {
            LayerNormDesc wrong = desc;
            wrong.rows = rows;
            wrong.dim = dim;
            return error_of(ErrorCode::invalid_argument, [&] {
                (void)backend.layer_norm(wrong, {weight.view(), bias});
            });
        };
        CHECK(contains(contradicts(3, 8, weight.view().first(7)), "(7)"));
        CHECK(contains(contradicts(3, 8, View(nullptr, DType::f32, {8})), "bias has no data"));
        CHECK(contains(contradicts(-1, 8, weight.view()), "rows is -1"));
        CHECK(contains(contradicts(3, 0, weight.view()), "dim is 0"));
    });
}

TEST_CASE("layer_norm: the CUDA backend refuses other addresses, an overlap and other dtypes") {
    on_each_backend([](Backend& backend) {
        if (backend.properties().kind == "cpu")
            return;
        LayerNormDesc desc;
        desc.rows = 3;
        desc.dim = 8;
        desc.x = desc.y = DType::f16;
        desc.batches = {2};
        const HostTensor weight(DType::f32, {8}, gains(8));
        const NormWeights weights{weight.view(), weight.view()};
        const auto op = backend.layer_norm(desc, weights);
        const DeviceTensor x(backend, DType::f16, {3, 3, 8}), y(backend, DType::f16, {3, 3, 8});
        const Stream stream(backend);
        const auto refused = [&](const DeviceTensor& a, int a_bytes, const DeviceTensor& b,
                                 int b_bytes) {
            const auto at = [](const DeviceTensor& tensor, int bytes) {
                return View(tensor.view().as<char>() + bytes, DType::f16, {2, 3, 8});
            };
            return error_of(ErrorCode::invalid_argument,
                            [&] { (*op)(at(a, a_bytes), at(b, b_bytes), {}, stream); });
        };
        CHECK(contains(refused(x, 2, y, 0), "x is not 16-byte aligned"));
        CHECK(contains(refused(x, 0, y, 8), "y is not 16-byte aligned"));
        CHECK(contains(refused(x, 0, x, 0), "x overlaps y"));
        CHECK(contains(refused(x, 16, x, 0), "x overlaps y"));
        CHECK(contains(refused(x, 0, x, 80), "x overlaps y"));
        for (DType wrong : {DType::f32, DType::bf16}) {
            const auto without = [&](DType from, DType to) {
                LayerNormDesc narrow = desc;
                narrow.x = from;
                narrow.y = to;
                return error_of(ErrorCode::device,
                                [&] { (void)backend.layer_norm(narrow, weights); });
            };
            CHECK(contains(without(wrong, DType::f16),
                           std::string("x is ") + std::string(name(wrong))));
            CHECK(contains(without(DType::f16, wrong),
                           std::string("y is ") + std::string(name(wrong))));
        }
    });
}

#include <algorithm>
#include <cmath>

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

void check(Backend& backend, int batch, int rows, int dim, DType x_dtype, DType y_dtype,
           float mean) {
    INFO("batch " << batch << ", rows " << rows << ", dim " << dim << ", mean " << mean << ", "
                  << name(x_dtype) << " to " << name(y_dtype));
    auto x = random_eighths(static_cast<size_t>(batch) * rows * dim, 4, 21);
    for (float& value : x)
        value += mean;
    x = decode(encode(x, x_dtype), x_dtype);
    const auto weight = gains(dim), bias = random_eighths(dim, 1, 12);
    LayerNormDesc desc;
    desc.rows = rows;
    desc.dim = dim;
    desc.eps = 1e-5F;
    desc.x = x_dtype;
    desc.y = y_dtype;
    desc.batches = {batch, batch + 2};
    const auto op = backend.layer_norm(desc, {HostTensor(DType::f32, {dim}, weight).view(),
                                              HostTensor(DType::f32, {dim}, bias).view()});
    const DeviceTensor input(backend, x_dtype, {batch, rows, dim}, x);
    const auto y =
        run_every_way(backend, op->scratch_bytes(), {{y_dtype, {batch, rows, dim}}},
                      [&](const std::vector<View>& out, Scratch scratch, StreamRef stream) {
                          (*op)(input.view(), out[0], scratch, stream);
                      });
    const auto reference = layer_norm(widened(x), weight, bias, desc.eps);
    std::vector<double> tolerance;
    for (size_t i = 0; i < reference.size(); ++i) {
        // The mean is off by at most about log2(dim) + 8 roundings of the largest value (sums in
        // lanes), the deviation relatively by as many; both pass through the gain. A row of equal
        // values divides its rounding by sqrt(eps).
        const double largest = std::abs(mean) + 4, unit = 0x1p-24 * (8 + std::log2(dim));
        const double deviation = dim == 1 ? std::sqrt(desc.eps) : 0.5;
        tolerance.push_back(unit * (std::abs(reference[i]) + 2 + largest / deviation) * 1.5 +
                            (y_dtype == DType::f32 ? 0 : rounding(y_dtype, reference[i])));
    }
    check_close(y[0], reference, tolerance);
}

} // namespace

TEST_CASE("layer_norm: equals the reference at small, odd and model shapes") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (float mean : {0.0F, 3.0F})
            for (int dim : {1, 2, 3, 7, 8, 9, 17, 31, 64, 65, 192, 768, 1024}) {
                check(backend, 1, 1, dim, numerics.residual, numerics.compute, mean);
                check(backend, 3, 5, dim, numerics.residual, numerics.compute, mean);
                check(backend, 2, 3, dim, numerics.compute, numerics.compute, mean);
            }
        check(backend, 2, 50, 768, numerics.residual, numerics.compute, 1);
    });
}

TEST_CASE("layer_norm: eps counts where the variance is small") {
    on_each_backend([](Backend& backend) {
        const int dim = 32;
        std::vector<float> x(dim);
        for (int i = 0; i < dim; ++i)
            x[i] = i % 2 ? 0x1p-10F : -0x1p-10F; // variance 2^-20, about 1e-6
        for (float eps : {1e-12F, 1e-6F, 1e-5F}) {
            LayerNormDesc desc;
            desc.dim = dim;
            desc.eps = eps;
            desc.batches = {1};
            const std::vector<float> ones(dim, 1), zeros(dim, 0);
            const auto op = backend.layer_norm(desc, {HostTensor(DType::f32, {dim}, ones).view(),
                                                      HostTensor(DType::f32, {dim}, zeros).view()});
            const DeviceTensor input(backend, DType::f32, {1, dim}, x);
            const auto y =
                run_every_way(backend, op->scratch_bytes(), {{DType::f32, {1, dim}}},
                              [&](const std::vector<View>& out, Scratch scratch, StreamRef stream) {
                                  (*op)(input.view(), out[0], scratch, stream);
                              });
            check_close(y[0], layer_norm(widened(x), ones, zeros, eps),
                        std::vector<double>(dim, 1e-6));
        }
    });
}

TEST_CASE("layer_norm: refuses what does not fit, by name") {
    on_each_backend([](Backend& backend) {
        LayerNormDesc desc;
        desc.rows = 3;
        desc.dim = 8;
        desc.batches = {2};
        const HostTensor weight(DType::f32, {8}, gains(8));
        const auto op = backend.layer_norm(desc, {weight.view(), weight.view()});
        const DeviceTensor x(backend, DType::f32, {2, 3, 8}), y(backend, DType::f32, {2, 3, 8});
        const DeviceMemory memory = make_device_memory(backend, op->scratch_bytes());
        const Scratch scratch{memory.get(), op->scratch_bytes()};
        const Stream stream(backend);
        const auto refused = [&](const View& a, const View& b) {
            return error_of(ErrorCode::invalid_argument, [&] { (*op)(a, b, scratch, stream); });
        };
        CHECK(contains(refused(View(x.view().data, DType::f32, {1, 3, 8}), y.view()), "batch 1"));
        CHECK(contains(refused(View(x.view().data, DType::f16, {2, 3, 8}), y.view()), "fp16"));
        CHECK(contains(refused(x.view(), View(y.view().data, DType::f32, {2, 3, 9})), "(2, 3, 9)"));
        CHECK(contains(refused(x.view(), View(nullptr, DType::f32, {2, 3, 8})), "no data"));
        CHECK(contains(
            error_of(ErrorCode::invalid_argument,
                     [&] {
                         (void)backend.layer_norm(desc, {weight.view(), weight.view().first(7)});
                     }),
            "(7)"));
    });
}

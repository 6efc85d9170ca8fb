#include <cmath>

#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/kernels/reference.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

struct Case {
    int batch, patches, dim;
    bool norm;
    DType x, y;
};

void check(Backend& backend, const Case& c) {
    INFO("batch " << c.batch << ", patches " << c.patches << ", dim " << c.dim << ", norm "
                  << c.norm << ", " << name(c.x) << " to " << name(c.y));
    const size_t dim = c.dim, tokens = c.patches + 1;
    const auto x = random_eighths(c.batch * c.patches * dim, 4, 31);
    const auto class_embedding = random_eighths(dim, 4, 32);
    const auto position = random_eighths(tokens * dim, 4, 33);
    const auto weight = random_eighths(dim, 2, 34), bias = random_eighths(dim, 2, 35);

    TokenEmbeddingDesc desc;
    desc.patches = c.patches;
    desc.dim = c.dim;
    desc.x = c.x;
    desc.y = c.y;
    desc.batches = {c.batch};
    std::unique_ptr<TokenEmbedding> op;
    {
        const HostTensor class_tensor(DType::f16, {c.dim}, class_embedding);
        const HostTensor position_tensor(DType::f32, {c.patches + 1, c.dim}, position);
        const HostTensor weight_tensor(DType::bf16, {c.dim}, weight);
        const HostTensor bias_tensor(DType::f32, {c.dim}, bias);
        TokenEmbeddingWeights weights;
        weights.class_embedding = class_tensor.view();
        weights.position = position_tensor.view();
        if (c.norm) {
            weights.norm_weight = weight_tensor.view();
            weights.norm_bias = bias_tensor.view();
        }
        op = backend.token_embedding(desc, weights);
    }
    const DeviceTensor input(backend, c.x, {c.batch, c.patches, c.dim}, x);
    const auto y =
        run_every_way(backend, op->scratch_bytes(), {{c.y, {c.batch, c.patches + 1, c.dim}}},
                      [&](const std::vector<View>& out, Scratch scratch, StreamRef stream) {
                          (*op)(input.view(), out[0], scratch, stream);
                      });

    std::vector<double> reference(c.batch * tokens * dim);
    for (size_t b = 0; b < static_cast<size_t>(c.batch); ++b)
        for (size_t token = 0; token < tokens; ++token)
            for (size_t i = 0; i < dim; ++i)
                reference[(b * tokens + token) * dim + i] =
                    position[token * dim + i] +
                    (token == 0 ? class_embedding[i] : x[(b * c.patches + token - 1) * dim + i]);
    if (c.norm)
        reference = layer_norm(reference, weight, bias, desc.eps);
    std::vector<double> tolerance;
    for (double value : reference) {
        // The sum is exact. The norm: as in the layer norm's test, values up to 8, gains up to 2,
        // a deviation of at least 0.5, or sqrt(eps) for a single value.
        const double deviation = c.dim == 1 ? std::sqrt(desc.eps) : 0.5;
        tolerance.push_back(
            (c.norm ? 0x1p-24 * (8 + std::log2(dim)) * (std::abs(value) + 4 + 16 / deviation) : 0) +
            (c.y == DType::f32 ? 0 : rounding(c.y, value)));
    }
    check_close(y[0], reference, tolerance);
}

} // namespace

TEST_CASE("token_embedding: class token, positions and norm equal the reference") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (bool norm : {true, false})
            for (DType x : {numerics.compute, DType::f32}) {
                check(backend, {1, 1, 1, norm, x, numerics.residual});
                check(backend, {2, 3, 5, norm, x, numerics.residual});
                check(backend, {3, 4, 33, norm, x, numerics.residual});
                check(backend, {2, 49, 64, norm, x, numerics.residual});
                check(backend, {2, 49, 768, norm, x, numerics.residual});
            }
    });
}

TEST_CASE("token_embedding: refuses what does not fit, by name") {
    on_each_backend([](Backend& backend) {
        TokenEmbeddingDesc desc;
        desc.patches = 4;
        desc.dim = 8;
        desc.batches = {2};
        const HostTensor row(DType::f32, {8}, random_eighths(8, 1, 1));
        const HostTensor table(DType::f32, {5, 8}, random_eighths(40, 1, 2));
        const auto op = backend.token_embedding(desc, {row.view(), table.view(), {}, {}});
        const DeviceTensor x(backend, DType::f32, {2, 4, 8}), y(backend, DType::f32, {2, 5, 8});
        const DeviceMemory memory = make_device_memory(backend, op->scratch_bytes());
        const Scratch scratch{memory.get(), op->scratch_bytes()};
        const Stream stream(backend);
        const auto refused = [&](const View& a, const View& b) {
            return error_of(ErrorCode::invalid_argument, [&] { (*op)(a, b, scratch, stream); });
        };
        CHECK(contains(refused(View(x.view().data, DType::f32, {3, 4, 8}), y.view()), "batch 3"));
        CHECK(contains(refused(View(x.view().data, DType::i32, {2, 4, 8}), y.view()), "int32"));
        CHECK(contains(refused(x.view(), View(y.view().data, DType::f32, {2, 4, 8})),
                       "y is (2, 4, 8) fp32, must be (2, 5, 8) fp32"));
        const auto contradicts = [&](const TokenEmbeddingWeights& weights) {
            return error_of(ErrorCode::invalid_argument,
                            [&] { (void)backend.token_embedding(desc, weights); });
        };
        CHECK(contains(contradicts({row.view(), table.view().first(4), {}, {}}), "(4, 8)"));
        CHECK(contains(contradicts({row.view().first(7), table.view(), {}, {}}), "(7)"));
        CHECK(contains(contradicts({row.view(), table.view(), row.view(), {}}), "norm_bias"));
    });
}

#include <cmath>

#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/kernels/reference.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

struct Case {
    int batch, tokens, dim, out;
};

struct Weights {
    explicit Weights(const Case& c)
        : weight(random_eighths(c.dim, 2, 52)), bias(random_eighths(c.dim, 2, 53)),
          projection(random_eighths(static_cast<size_t>(c.out) * c.dim, 1, 54)) {}
    std::vector<float> weight, bias, projection;
};

std::unique_ptr<EmbeddingHead> make_head(Backend& backend, const Case& c, DType x, DType compute) {
    const Weights weights(c);
    EmbeddingHeadDesc desc;
    desc.tokens = c.tokens;
    desc.dim = c.dim;
    desc.out = c.out;
    desc.x = x;
    desc.compute = compute;
    desc.batches = {c.batch};
    const HostTensor weight(DType::f32, {c.dim}, weights.weight);
    const HostTensor bias(DType::bf16, {c.dim}, weights.bias);
    const HostTensor projection(DType::f16, {c.out, c.dim}, weights.projection);
    return backend.embedding_head(desc, {{weight.view(), bias.view()}, projection.view()});
}

// The vectors and their lengths.
std::vector<std::vector<float>> run(Backend& backend, const Case& c, EmbeddingHead& op,
                                    const DeviceTensor& x) {
    return run_every_way(backend, op.scratch_bytes(),
                         {{DType::f32, {c.batch, c.out}}, {DType::f32, {c.batch}}},
                         [&](const std::vector<View>& y, Scratch scratch, StreamRef stream) {
                             op(x.view(), y[0], y[1], scratch, stream);
                         });
}

void check(Backend& backend, Numerics numerics, const Case& c) {
    INFO("batch " << c.batch << ", tokens " << c.tokens << ", dim " << c.dim << ", out " << c.out);
    const size_t dim = c.dim, out = c.out, photo = c.tokens * dim;
    const auto x = random_eighths(c.batch * photo, 4, 51);
    const Weights weights(c);
    const auto op = make_head(backend, c, numerics.residual, numerics.compute);
    const DeviceTensor input(backend, numerics.residual, {c.batch, c.tokens, c.dim}, x);
    const auto results = run(backend, c, *op, input);

    std::vector<double> first_tokens;
    for (size_t b = 0; b < static_cast<size_t>(c.batch); ++b)
        first_tokens.insert(first_tokens.end(), x.begin() + static_cast<std::ptrdiff_t>(b * photo),
                            x.begin() + static_cast<std::ptrdiff_t>(b * photo + dim));
    const auto normalized = layer_norm(first_tokens, weights.weight, weights.bias, 1e-5);
    std::vector<double> y(c.batch * out), tolerance(c.batch * out), norm(c.batch),
        norm_tolerance(c.batch);
    // Each normalized value is off by some roundings of the norm (see the layer norm's test: |x| up
    // to 4, gains up to 2, deviation at least 0.5, or sqrt(eps) for a single value) and by the one
    // to the compute dtype; errors add up over the row, as do the roundings of a sum of dim terms.
    const double deviation = dim == 1 ? std::sqrt(1e-5) : 0.5;
    const double unit = 0x1p-24 * (8 + std::log2(dim));
    for (size_t b = 0; b < norm.size(); ++b) {
        double squares = 0, errors = 0;
        for (size_t o = 0; o < out; ++o) {
            double& value = y[b * out + o];
            double& error = tolerance[b * out + o];
            for (size_t i = 0; i < dim; ++i) {
                const double n = normalized[b * dim + i], w = weights.projection[o * dim + i];
                value += n * w;
                error += std::abs(w) *
                         (unit * (std::abs(n) + 4 + 8 / deviation) +
                          (numerics.compute == DType::f32 ? 0 : rounding(numerics.compute, n)));
            }
            squares += value * value;
            errors += error * error;
        }
        norm[b] = std::sqrt(squares);
        norm_tolerance[b] = std::sqrt(errors) + rounding(DType::f32, norm[b]);
    }
    check_close(results[0], y, tolerance);
    check_close(results[1], norm, norm_tolerance);
}

} // namespace

TEST_CASE("embedding_head: vectors and lengths equal the reference") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (const Case& c :
             {Case{1, 1, 1, 1}, Case{2, 3, 5, 7}, Case{3, 2, 33, 17}, Case{1, 50, 64, 32},
              Case{5, 4, 192, 65}, Case{2, 50, 768, 512}, Case{7, 3, 1024, 40}})
            check(backend, numerics, c);
    });
}

TEST_CASE("embedding_head: the length equals the vector's") {
    on_each_backend([](Backend& backend) {
        const Case c{4, 3, 64, 48};
        const auto op = make_head(backend, c, DType::f32, DType::f32);
        const DeviceTensor x(backend, DType::f32, {4, 3, 64}, random_eighths(4 * 3 * 64, 4, 55));
        const auto results = run(backend, c, *op, x);
        for (int b = 0; b < 4; ++b) {
            double squares = 0;
            for (int o = 0; o < 48; ++o)
                squares += static_cast<double>(results[0][b * 48 + o]) * results[0][b * 48 + o];
            // One rounding, and those of a sum in fp32 if the backend takes one.
            CHECK(results[1][b] == doctest::Approx(std::sqrt(squares)).epsilon(48 * 0x1p-24));
        }
    });
}

TEST_CASE("embedding_head: a row with NaN, infinity or an overflow, and no other, has a length "
          "that is not finite") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        const Case c{5, 2, 40, 24};
        const auto op = make_head(backend, c, numerics.residual, numerics.compute);
        for (float bad : {NAN, INFINITY, -INFINITY, 3e38F}) {
            auto values = random_eighths(5 * 2 * 40, 4, 56);
            values[(1 * 2 + 0) * 40 + 7] = bad;
            values[(3 * 2 + 0) * 40 + 39] = bad;
            values[(4 * 2 + 1) * 40 + 3] = bad; // not a first token: not looked at
            const DeviceTensor x(backend, numerics.residual, {5, 2, 40}, values);
            const auto results = run(backend, c, *op, x);
            for (int b = 0; b < 5; ++b)
                CHECK(std::isfinite(results[1][b]) == (b != 1 && b != 3));
        }
    });
}

TEST_CASE("embedding_head: refuses what does not fit, by name") {
    on_each_backend([](Backend& backend) {
        const Case c{2, 3, 8, 4};
        const auto op = make_head(backend, c, DType::f32, DType::f32);
        const DeviceTensor x(backend, DType::f32, {2, 3, 8}), y(backend, DType::f32, {2, 4}),
            norm(backend, DType::f32, {2});
        const DeviceMemory memory = make_device_memory(backend, op->scratch_bytes());
        const Scratch scratch{memory.get(), op->scratch_bytes()};
        const Stream stream(backend);
        const auto refused = [&](const View& a, const View& b, const View& d) {
            return error_of(ErrorCode::invalid_argument, [&] { (*op)(a, b, d, scratch, stream); });
        };
        CHECK(contains(refused(x.view().first(1), y.view(), norm.view()), "batch 1"));
        CHECK(contains(refused(View(x.view().data, DType::f32, {2, 2, 8}), y.view(), norm.view()),
                       "(2, 2, 8)"));
        CHECK(contains(refused(x.view(), View(y.view().data, DType::bf16, {2, 4}), norm.view()),
                       "bf16"));
        CHECK(contains(refused(x.view(), y.view(), norm.view().first(1)), "norm is (1)"));
        EmbeddingHeadDesc desc;
        desc.tokens = 3;
        desc.dim = 8;
        desc.out = 5;
        desc.batches = {1};
        const HostTensor row(DType::f32, {8}, random_eighths(8, 1, 1));
        const HostTensor projection(DType::f32, {4, 8}, random_eighths(32, 1, 2));
        CHECK(contains(error_of(ErrorCode::invalid_argument,
                                [&] {
                                    (void)backend.embedding_head(
                                        desc, {{row.view(), row.view()}, projection.view()});
                                }),
                       "4 rows, must have 5"));
    });
}

#include <algorithm>
#include <cmath>
#include <string>

#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/kernels/reference.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

struct HeadCase {
    int batch, tokens, dim, out;
};

struct Weights {
    explicit Weights(const HeadCase& c)
        : weight(random_eighths(c.dim, 2, 52)), bias(random_eighths(c.dim, 2, 53)),
          projection(random_eighths(static_cast<size_t>(c.out) * c.dim, 1, 54)) {}
    std::vector<float> weight, bias, projection;
};

std::unique_ptr<EmbeddingHead> make_head(Backend& backend, const HeadCase& c, Numerics numerics,
                                         const Weights& weights) {
    EmbeddingHeadDesc desc;
    desc.tokens = c.tokens;
    desc.dim = c.dim;
    desc.out = c.out;
    desc.x = numerics.residual;
    desc.compute = numerics.compute;
    desc.batches = {c.batch};
    const HostTensor weight(DType::f32, {c.dim}, weights.weight);
    const HostTensor bias(DType::bf16, {c.dim}, weights.bias);
    const HostTensor projection(DType::f16, {c.out, c.dim}, weights.projection);
    return backend.embedding_head(desc, {{weight.view(), bias.view()}, projection.view()});
}

// The vectors and their lengths; without `index`, those of the first tokens.
std::vector<std::vector<float>> run_head(Backend& backend, const HeadCase& c, EmbeddingHead& op,
                                         const DeviceTensor& x, const View& index = {}) {
    return run_every_way(backend, op.scratch_bytes(),
                         {{DType::f32, {c.batch, c.out}}, {DType::f32, {c.batch}}},
                         [&](const std::vector<View>& y, Scratch scratch, StreamRef stream) {
                             if (index)
                                 op(x.view(), index, y[0], y[1], scratch, stream);
                             else
                                 op(x.view(), y[0], y[1], scratch, stream);
                         });
}

std::vector<float> random_photos(const HeadCase& c) {
    return random_eighths(static_cast<size_t>(c.batch) * c.tokens * c.dim, 4, 51);
}

void check_head(Backend& backend, Numerics numerics, const HeadCase& c, std::vector<float> x) {
    INFO("batch " << c.batch << ", tokens " << c.tokens << ", dim " << c.dim << ", out " << c.out);
    const size_t dim = c.dim, out = c.out, photo = c.tokens * dim;
    x = decode(encode(x, numerics.residual), numerics.residual);
    const Weights weights(c);
    const auto op = make_head(backend, c, numerics, weights);
    const DeviceTensor input(backend, numerics.residual, {c.batch, c.tokens, c.dim}, x);
    const auto results = run_head(backend, c, *op, input);

    std::vector<double> first_tokens;
    for (size_t b = 0; b < static_cast<size_t>(c.batch); ++b)
        first_tokens.insert(first_tokens.end(), x.begin() + static_cast<std::ptrdiff_t>(b * photo),
                            x.begin() + static_cast<std::ptrdiff_t>(b * photo + dim));
    const auto normalized = layer_norm(first_tokens, weights.weight, weights.bias, 1e-5);
    // Each normalized value is off by some roundings of the norm and by the one to the compute
    // dtype; errors add up over the row, as do the roundings of a sum of dim terms.
    const auto errors_of_norm =
        layer_norm_tolerance(first_tokens, weights.weight, weights.bias, 1e-5, numerics.compute);
    std::vector<double> y(c.batch * out), tolerance(c.batch * out), norm(c.batch),
        norm_tolerance(c.batch);
    const double unit = 0x1p-24 * (8 + std::log2(dim));
    for (size_t b = 0; b < norm.size(); ++b) {
        double squares = 0, errors = 0;
        for (size_t o = 0; o < out; ++o) {
            double& value = y[b * out + o];
            double& error = tolerance[b * out + o];
            for (size_t i = 0; i < dim; ++i) {
                const double n = normalized[b * dim + i], w = weights.projection[o * dim + i];
                value += n * w;
                error += std::abs(w) * (unit * std::abs(n) + errors_of_norm[b * dim + i]);
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
        for (const HeadCase& c :
             {HeadCase{1, 1, 1, 1}, HeadCase{2, 3, 5, 7}, HeadCase{3, 2, 33, 17},
              HeadCase{1, 50, 64, 32}, HeadCase{5, 4, 192, 65}, HeadCase{2, 50, 768, 512},
              HeadCase{7, 3, 1024, 40},
              // around the CUDA backend's tiles: 1, 4 and 8 photos, 8, 16 and 32 outputs
              HeadCase{3, 1, 40, 15}, HeadCase{4, 2, 24, 16}, HeadCase{5, 1, 9, 17},
              HeadCase{31, 1, 16, 8}, HeadCase{32, 2, 48, 31}, HeadCase{33, 1, 7, 32},
              HeadCase{41, 1, 264, 33},
              // around its stretches of a row: 512, 1,024 and 4,096 values, and rows of several
              HeadCase{33, 1, 511, 3}, HeadCase{32, 1, 1032, 5}, HeadCase{4, 1, 1024, 3},
              HeadCase{3, 1, 2056, 9}, HeadCase{1, 1, 4095, 2}, HeadCase{2, 1, 8200, 3}})
            check_head(backend, numerics, c, random_photos(c));
    });
}

TEST_CASE("embedding_head: planted outliers and a far mean cost no digits") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (int dim : {64, 99, 768})
            for (float outlier : {2e3F, 3e4F}) {
                const HeadCase c{4, 2, dim, 9};
                auto x = random_photos(c);
                x[5] = outlier; // photo 0; in photo 1 two that cancel, in photo 2 a far mean
                x[2 * dim] = outlier, x[3 * dim - 1] = -outlier;
                for (int i = 0; i < dim; ++i)
                    x[4 * dim + i] += 2000;
                check_head(backend, numerics, c, x);
            }
    });
}

TEST_CASE(
    "embedding_head: an index pools the token that it names, bitwise as if it were the first") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (const HeadCase& c :
             {HeadCase{1, 1, 8, 3}, HeadCase{3, 5, 33, 17}, HeadCase{9, 77, 64, 12},
              HeadCase{33, 4, 40, 9}, HeadCase{2, 3, 4104, 5}}) {
            INFO("batch " << c.batch << ", tokens " << c.tokens << ", dim " << c.dim);
            const auto op = make_head(backend, c, numerics, Weights(c));
            auto x = random_photos(c);
            std::vector<float> index;
            for (int b = 0; b < c.batch; ++b)
                index.push_back(static_cast<float>((5 * b + c.tokens - 1) % c.tokens));
            const DeviceTensor all(backend, numerics.residual, {c.batch, c.tokens, c.dim}, x);
            const DeviceTensor tokens(backend, DType::i32, {c.batch}, index);
            const auto pooled = run_head(backend, c, *op, all, tokens.view());
            for (int b = 0; b < c.batch; ++b) {
                const auto photo = x.begin() + static_cast<ptrdiff_t>(c.tokens) * c.dim * b;
                const auto token = photo + static_cast<ptrdiff_t>(index[b]) * c.dim;
                std::copy(token, token + c.dim, photo);
            }
            const DeviceTensor moved(backend, numerics.residual, {c.batch, c.tokens, c.dim}, x);
            CHECK(pooled == run_head(backend, c, *op, moved));
        }
    });
}

TEST_CASE(
    "embedding_head: an index that is no token, and no other, has a length that is not finite") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        const HeadCase c{5, 3, 24, 10};
        const auto op = make_head(backend, c, numerics, Weights(c));
        const DeviceTensor x(backend, numerics.residual, {5, 3, 24}, random_photos(c));
        const DeviceTensor index(backend, DType::i32, {5}, {0, -1, 2, 3, 1 << 30});
        const auto results = run_head(backend, c, *op, x, index.view());
        for (int b = 0; b < 5; ++b)
            CHECK(std::isfinite(results[1][b]) == (b == 0 || b == 2));
    });
}

TEST_CASE("embedding_head: the length equals the vector's") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        const HeadCase c{4, 3, 64, 48};
        const auto op = make_head(backend, c, numerics, Weights(c));
        const DeviceTensor x(backend, numerics.residual, {4, 3, 64}, random_photos(c));
        const auto results = run_head(backend, c, *op, x);
        for (int b = 0; b < 4; ++b) {
            double squares = 0;
            for (int o = 0; o < 48; ++o)
                squares += static_cast<double>(results[0][b * 48 + o]) * results[0][b * 48 + o];
            // One rounding, and those of a sum in fp32 if the backend takes one.
            CHECK(results[1][b] == doctest::Approx(std::sqrt(squares)).epsilon(48 * 0x1p-24));
        }
    });
}

TEST_CASE("embedding_head: on CUDA a photo's vector does not depend on its batch") {
    on_each_backend([](Backend& backend) {
        if (backend.properties().kind == "cpu")
            return;
        const Numerics numerics = backend.numerics("auto");
        const HeadCase all{37, 2, 1032, 19};
        const auto x = random_photos(all);
        std::vector<std::vector<float>> whole;
        for (int batch : {37, 1, 4}) { // one of each tile
            HeadCase c = all;
            c.batch = batch;
            const auto op = make_head(backend, c, numerics, Weights(c));
            const auto part = std::vector<float>(x.begin(), x.begin() + batch * 2 * 1032);
            const DeviceTensor input(backend, numerics.residual, {batch, 2, 1032}, part);
            const auto results = run_head(backend, c, *op, input);
            if (whole.empty())
                whole = results;
            for (int i = 0; i < 2; ++i)
                CHECK(std::equal(results[i].begin(), results[i].end(), whole[i].begin()));
        }
    });
}

TEST_CASE("embedding_head: a row with NaN, infinity or an overflow, and no other, has a length "
          "that is not finite") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        const HeadCase c{5, 2, 40, 24};
        const auto op = make_head(backend, c, numerics, Weights(c));
        for (float bad : {NAN, INFINITY, -INFINITY, 3e38F}) {
            auto values = random_eighths(5 * 2 * 40, 4, 56);
            values[(1 * 2 + 0) * 40 + 7] = bad;
            values[(3 * 2 + 0) * 40 + 39] = bad;
            values[(4 * 2 + 1) * 40 + 3] = bad; // not a first token: not looked at
            const DeviceTensor x(backend, numerics.residual, {5, 2, 40}, values);
            const auto results = run_head(backend, c, *op, x);
            for (int b = 0; b < 5; ++b)
                CHECK(std::isfinite(results[1][b]) == (b != 1 && b != 3));
        }
    });
}

TEST_CASE("embedding_head: a value beyond fp32 gives a length that is not finite") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        const HeadCase c{1, 1, 24, 10};
        Weights weights(c);
        weights.bias[9] = 3e38F;
        weights.projection[24 * 7 + 9] = 2;
        const auto op = make_head(backend, c, numerics, weights);
        const DeviceTensor x(backend, numerics.residual, {1, 1, 24}, random_photos(c));
        CHECK(!std::isfinite(run_head(backend, c, *op, x)[1][0]));
    });
}

TEST_CASE("embedding_head: the CUDA backend refuses other addresses, an overlap, other dtypes and "
          "a weight beyond fp16") {
    on_each_backend([](Backend& backend) {
        if (backend.properties().kind == "cpu")
            return;
        const HeadCase c{2, 3, 8, 4};
        Weights weights(c);
        const auto op = make_head(backend, c, {DType::f16, DType::f16}, weights);
        const DeviceTensor x(backend, DType::f16, {3, 3, 8}), y(backend, DType::f32, {4, 4});
        const Stream stream(backend);
        const auto at = [](const DeviceTensor& tensor, int bytes) {
            return tensor.view().as<char>() + bytes;
        };
        const auto refused = [&](void* a, void* b, void* d) {
            return error_of(ErrorCode::invalid_argument, [&] {
                (*op)(View(a, DType::f16, {2, 3, 8}), View(b, DType::f32, {2, 4}),
                      View(d, DType::f32, {2}), {}, stream);
            });
        };
        CHECK(contains(refused(at(x, 8), at(y, 0), at(y, 32)), "x is not 16-byte aligned"));
        CHECK(contains(refused(at(x, 0), at(y, 2), at(y, 40)), "y is not 4-byte aligned"));
        CHECK(contains(refused(at(x, 0), at(y, 0), at(y, 33)), "norm is not 4-byte aligned"));
        CHECK(contains(refused(at(x, 0), at(x, 80), at(y, 0)), "x overlaps y"));
        CHECK(contains(refused(at(x, 0), at(y, 0), at(x, 92)), "x overlaps norm"));
        CHECK(contains(refused(at(x, 0), at(y, 0), at(y, 28)), "y overlaps norm"));
        for (DType wrong : {DType::f32, DType::bf16}) {
            const auto without = [&](Numerics numerics) {
                return error_of(ErrorCode::device,
                                [&] { (void)make_head(backend, c, numerics, weights); });
            };
            CHECK(contains(without({DType::f16, wrong}), "x is " + std::string(name(wrong))));
            CHECK(contains(without({wrong, DType::f16}), "compute is " + std::string(name(wrong))));
        }
        const HostTensor row(DType::f32, {8}, weights.weight);
        weights.projection[3] = -70000;
        const HostTensor projection(DType::f32, {4, 8}, weights.projection);
        EmbeddingHeadDesc desc;
        desc.tokens = 3;
        desc.dim = 8;
        desc.out = 4;
        desc.x = desc.compute = DType::f16;
        desc.batches = {2};
        CHECK(contains(error_of(ErrorCode::model,
                                [&] {
                                    (void)backend.embedding_head(
                                        desc, {{row.view(), row.view()}, projection.view()});
                                }),
                       "-70000"));
    });
}

TEST_CASE("embedding_head: refuses what does not fit, by name") {
    on_each_backend([](Backend& backend) {
        const HeadCase c{2, 3, 8, 4};
        const Numerics numerics = backend.numerics("auto");
        const DType dtype = numerics.residual;
        const auto op = make_head(backend, c, numerics, Weights(c));
        const DeviceTensor x(backend, dtype, {2, 3, 8}), y(backend, DType::f32, {2, 4}),
            norm(backend, DType::f32, {2});
        const DeviceMemory memory = make_device_memory(backend, op->scratch_bytes());
        const Scratch scratch{memory.get(), op->scratch_bytes()};
        const Stream stream(backend);
        const auto refused = [&](const View& a, const View& b, const View& d) {
            return error_of(ErrorCode::invalid_argument, [&] { (*op)(a, b, d, scratch, stream); });
        };
        CHECK(contains(refused(x.view().first(1), y.view(), norm.view()), "batch 1"));
        CHECK(contains(refused(View(x.view().data, dtype, {2, 2, 8}), y.view(), norm.view()),
                       "(2, 2, 8)"));
        CHECK(contains(refused(x.view(), View(y.view().data, DType::bf16, {2, 4}), norm.view()),
                       "bf16"));
        CHECK(contains(refused(x.view(), y.view(), norm.view().first(1)), "norm is (1)"));
        CHECK(contains(refused(View(nullptr, dtype, {2, 3, 8}), y.view(), norm.view()),
                       "x has no data"));
        CHECK(contains(refused(x.view(), View(nullptr, DType::f32, {2, 4}), norm.view()),
                       "y has no data"));
        CHECK(contains(refused(x.view(), y.view(), View(nullptr, DType::f32, {2})),
                       "norm has no data"));
        const DeviceTensor index(backend, DType::i32, {3}, {0, 1, 2});
        const auto with_index = [&](const View& view) {
            return error_of(ErrorCode::invalid_argument,
                            [&] { (*op)(x.view(), view, y.view(), norm.view(), scratch, stream); });
        };
        CHECK(contains(with_index(index.view()), "index is (3)"));
        CHECK(contains(with_index(View(index.view().data, DType::f32, {2})), "index is"));
        EmbeddingHeadDesc desc;
        desc.x = dtype;
        desc.compute = numerics.compute;
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
        const auto contradicts = [&](int tokens, int dim, int out) {
            desc.tokens = tokens;
            desc.dim = dim;
            desc.out = out;
            return error_of(ErrorCode::invalid_argument, [&] {
                (void)backend.embedding_head(desc, {{row.view(), row.view()}, projection.view()});
            });
        };
        CHECK(contains(contradicts(-3, 8, 4), "tokens is -3"));
        CHECK(contains(contradicts(3, -8, 4), "dim is -8"));
        CHECK(contains(contradicts(3, 8, 0), "out is 0"));
    });
}

#include <cmath>
#include <string>

#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/kernels/reference.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

struct TokenCase {
    int batch, patches, dim;
    bool norm;
    DType x, y;
};

struct Values {
    explicit Values(const TokenCase& c)
        : x(random_eighths(static_cast<size_t>(c.batch) * c.patches * c.dim, 4, 31)),
          class_embedding(random_eighths(c.dim, 4, 32)),
          position(random_eighths((c.patches + size_t{1}) * c.dim, 4, 33)),
          weight(random_eighths(c.dim, 2, 34)), bias(random_eighths(c.dim, 2, 35)) {}
    std::vector<float> x, class_embedding, position, weight, bias;
};

std::vector<float> run_token_embedding(Backend& backend, const TokenCase& c, const Values& values) {
    TokenEmbeddingDesc desc;
    desc.patches = c.patches;
    desc.dim = c.dim;
    desc.x = c.x;
    desc.y = c.y;
    desc.batches = {c.batch};
    std::unique_ptr<TokenEmbedding> op;
    {
        const HostTensor class_tensor(DType::f16, {c.dim}, values.class_embedding);
        const HostTensor position_tensor(DType::f32, {c.patches + 1, c.dim}, values.position);
        const HostTensor weight_tensor(DType::bf16, {c.dim}, values.weight);
        const HostTensor bias_tensor(DType::f32, {c.dim}, values.bias);
        TokenEmbeddingWeights weights;
        weights.class_embedding = class_tensor.view();
        weights.position = position_tensor.view();
        if (c.norm) {
            weights.norm_weight = weight_tensor.view();
            weights.norm_bias = bias_tensor.view();
        }
        op = backend.token_embedding(desc, weights);
    }
    const DeviceTensor input(backend, c.x, {c.batch, c.patches, c.dim}, values.x);
    return run_every_way(backend, op->scratch_bytes(), {{c.y, {c.batch, c.patches + 1, c.dim}}},
                         [&](const std::vector<View>& out, Scratch scratch, StreamRef stream) {
                             (*op)(input.view(), out[0], scratch, stream);
                         })[0];
}

void check_token_embedding(Backend& backend, const TokenCase& c, const Values& values) {
    INFO("batch " << c.batch << ", patches " << c.patches << ", dim " << c.dim << ", norm "
                  << c.norm << ", " << name(c.x) << " to " << name(c.y));
    const size_t dim = c.dim, tokens = c.patches + 1;
    std::vector<double> sum(c.batch * tokens * dim);
    for (size_t b = 0; b < static_cast<size_t>(c.batch); ++b)
        for (size_t token = 0; token < tokens; ++token)
            for (size_t i = 0; i < dim; ++i)
                sum[(b * tokens + token) * dim + i] =
                    values.position[token * dim + i] +
                    (token == 0 ? values.class_embedding[i]
                                : values.x[(b * c.patches + token - 1) * dim + i]);
    const auto y = run_token_embedding(backend, c, values);
    if (c.norm) { // the sums are multiples of 1/8: exact
        check_close(y, layer_norm(sum, values.weight, values.bias, 1e-5F),
                    layer_norm_tolerance(sum, values.weight, values.bias, 1e-5F, c.y));
    } else {
        std::vector<double> tolerance;
        for (double value : sum)
            tolerance.push_back(c.y == DType::f32 ? 0 : rounding(c.y, value));
        check_close(y, sum, tolerance);
    }
}

void check_token_embedding(Backend& backend, const TokenCase& c) {
    check_token_embedding(backend, c, Values(c));
}

} // namespace

TEST_CASE("token_embedding: class token, positions and norm equal the reference") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        std::vector<DType> inputs = {numerics.compute};
        if (backend.properties().kind == "cpu") // which also takes what a GEMM did not round
            inputs.push_back(DType::f32);
        for (bool norm : {true, false})
            for (DType x : inputs) {
                check_token_embedding(backend, {1, 1, 1, norm, x, numerics.residual});
                check_token_embedding(backend, {2, 3, 5, norm, x, numerics.residual});
                check_token_embedding(backend, {3, 4, 33, norm, x, numerics.residual});
                check_token_embedding(backend, {2, 49, 64, norm, x, numerics.residual});
                check_token_embedding(backend, {2, 49, 768, norm, x, numerics.residual});
            }
    });
}

TEST_CASE("token_embedding: equals the reference around each width of a row and size of a block") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        // A lane of the CUDA kernels keeps 1 to 8 packs of 8 values: 256 values a pack and warp.
        for (int packs = 1; packs <= 8; ++packs)
            for (int dim : {256 * packs - 8, 256 * packs, 256 * packs + 1, 256 * packs + 8})
                check_token_embedding(
                    backend, {1, 1, dim, packs % 2 == 0, numerics.compute, numerics.residual});
        // 40 SMs: 1 row to a block up to 159 rows, 4 from 320 on, the last block full or not.
        for (int patches : {158, 159, 160, 318, 319, 322})
            check_token_embedding(backend,
                                  {1, patches, 8, true, numerics.compute, numerics.residual});
        check_token_embedding(backend, {46, 6, 5, true, numerics.compute, numerics.residual});
    });
}

TEST_CASE("token_embedding: planted outliers and a far mean cost the others no digits") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (int dim : {64, 99, 768})
            for (float outlier : {2e3F, 3e4F}) {
                const TokenCase c{1, 3, dim, true, numerics.compute, numerics.residual};
                Values values(c);
                values.class_embedding[dim / 2] = outlier;
                values.x[3] = outlier;
                values.x[dim] = outlier, values.x[2 * dim - 1] = -outlier;
                values.x = decode(encode(values.x, c.x), c.x); // multiples of 1/8 as before
                for (int i = 0; i < dim; ++i)
                    values.position[3 * dim + i] += 2000; // a row far from zero
                check_token_embedding(backend, c, values);
            }
    });
}

TEST_CASE("token_embedding: a row without a finite variance is NaN throughout, and no other is") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (int dim : {8, 9, 520})
            for (float bad : {NAN, INFINITY, -INFINITY, 1e30F}) {
                INFO("dim " << dim << ", " << bad);
                const TokenCase c{2, 3, dim, true, numerics.compute, numerics.residual};
                Values values(c);
                values.x[dim + 1] = bad;            // photo 0, token 2
                values.position[3 * dim + 5] = bad; // token 3 of both
                const auto y = run_token_embedding(backend, c, values);
                int wrong = 0;
                for (int i = 0; i < 8 * dim; ++i)
                    wrong += std::isnan(y[i]) != (i / dim == 2 || i / dim == 3 || i / dim == 7);
                CHECK(wrong == 0);
            }
    });
}

TEST_CASE("token_embedding: refuses what does not fit, by name") {
    on_each_backend([](Backend& backend) {
        const DType dtype = backend.numerics("auto").compute;
        const std::string spelled(name(dtype));
        TokenEmbeddingDesc desc;
        desc.patches = 4;
        desc.dim = 8;
        desc.x = desc.y = dtype;
        desc.batches = {2};
        const HostTensor row(DType::f32, {8}, random_eighths(8, 1, 1));
        const HostTensor table(DType::f32, {5, 8}, random_eighths(40, 1, 2));
        const auto op = backend.token_embedding(desc, {row.view(), table.view(), {}, {}});
        const DeviceTensor x(backend, dtype, {2, 4, 8}), y(backend, dtype, {2, 5, 8});
        const DeviceMemory memory = make_device_memory(backend, op->scratch_bytes());
        const Scratch scratch{memory.get(), op->scratch_bytes()};
        const Stream stream(backend);
        const auto refused = [&](const View& a, const View& b) {
            return error_of(ErrorCode::invalid_argument, [&] { (*op)(a, b, scratch, stream); });
        };
        CHECK(contains(refused(View(x.view().data, dtype, {3, 4, 8}), y.view()), "batch 3"));
        CHECK(contains(refused(View(x.view().data, DType::i32, {2, 4, 8}), y.view()), "int32"));
        CHECK(contains(refused(x.view(), View(y.view().data, dtype, {2, 4, 8})),
                       "y is (2, 4, 8) " + spelled + ", must be (2, 5, 8) " + spelled));
        CHECK(contains(refused(View(nullptr, dtype, {2, 4, 8}), y.view()), "x has no data"));
        CHECK(contains(refused(x.view(), View(y.view().data, dtype, {2, 5, -8})), "(2, 5, -8)"));
        const auto contradicts = [&](const TokenEmbeddingWeights& weights) {
            return error_of(ErrorCode::invalid_argument,
                            [&] { (void)backend.token_embedding(desc, weights); });
        };
        CHECK(contains(contradicts({row.view(), table.view().first(4), {}, {}}), "(4, 8)"));
        CHECK(contains(contradicts({row.view().first(7), table.view(), {}, {}}), "(7)"));
        CHECK(contains(contradicts({row.view(), table.view(), row.view(), {}}), "norm_bias"));
        desc.patches = -4;
        CHECK(contains(contradicts({row.view(), table.view(), {}, {}}), "patches is -4"));
    });
}

TEST_CASE("token_embedding: the CUDA backend refuses other addresses, an overlap and other "
          "dtypes") {
    on_each_backend([](Backend& backend) {
        if (backend.properties().kind == "cpu")
            return;
        TokenEmbeddingDesc desc;
        desc.patches = 4;
        desc.dim = 8;
        desc.x = desc.y = DType::f16;
        desc.batches = {2};
        const HostTensor row(DType::f32, {8}, random_eighths(8, 1, 1));
        const HostTensor table(DType::f32, {5, 8}, random_eighths(40, 1, 2));
        const TokenEmbeddingWeights weights{row.view(), table.view(), {}, {}};
        const auto op = backend.token_embedding(desc, weights);
        const DeviceTensor x(backend, DType::f16, {3, 5, 8}), y(backend, DType::f16, {3, 5, 8});
        const Stream stream(backend);
        const auto refused = [&](const DeviceTensor& a, int a_bytes, const DeviceTensor& b,
                                 int b_bytes) {
            const View in(a.view().as<char>() + a_bytes, DType::f16, {2, 4, 8});
            const View out(b.view().as<char>() + b_bytes, DType::f16, {2, 5, 8});
            return error_of(ErrorCode::invalid_argument, [&] { (*op)(in, out, {}, stream); });
        };
        CHECK(contains(refused(x, 6, y, 0), "x is not 16-byte aligned"));
        CHECK(contains(refused(x, 0, y, 8), "y is not 16-byte aligned"));
        CHECK(contains(refused(x, 0, x, 0), "x overlaps y"));
        CHECK(contains(refused(x, 48, x, 0), "x overlaps y"));
        for (DType wrong : {DType::f32, DType::bf16}) {
            const auto without = [&](DType from, DType to) {
                TokenEmbeddingDesc narrow = desc;
                narrow.x = from;
                narrow.y = to;
                return error_of(ErrorCode::device,
                                [&] { (void)backend.token_embedding(narrow, weights); });
            };
            CHECK(contains(without(wrong, DType::f16), "x is " + std::string(name(wrong))));
            CHECK(contains(without(DType::f16, wrong), "y is " + std::string(name(wrong))));
        }
    });
}

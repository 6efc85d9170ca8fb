#include <cmath>
#include <string>

#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/kernels/reference.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

struct TextCase {
    int batch, vocabulary, tokens, dim;
};

std::unique_ptr<TextEmbedding> make_op(Backend& backend, const TextCase& c, DType y,
                                       const std::vector<float>& token,
                                       const std::vector<float>& position) {
    TextEmbeddingDesc desc;
    desc.vocabulary = c.vocabulary;
    desc.tokens = c.tokens;
    desc.dim = c.dim;
    desc.y = y;
    desc.batches = {c.batch};
    const HostTensor token_tensor(DType::f16, {c.vocabulary, c.dim}, token);
    const HostTensor position_tensor(DType::f32, {c.tokens, c.dim}, position);
    return backend.text_embedding(desc, {token_tensor.view(), position_tensor.view()});
}

std::vector<float> run_text_embedding(Backend& backend, const TextCase& c, DType dtype,
                                      TextEmbedding& op, const std::vector<float>& ids) {
    const DeviceTensor input(backend, DType::i32, {c.batch, c.tokens}, ids);
    return run_every_way(backend, 0, {{dtype, {c.batch, c.tokens, c.dim}}},
                         [&](const std::vector<View>& out, Scratch, StreamRef stream) {
                             op(input.view(), out[0], stream);
                         })[0];
}

// Any ids of the vocabulary, the first and the last among them.
std::vector<float> some_ids(const TextCase& c) {
    std::vector<float> ids;
    for (int i = 0; i < c.batch * c.tokens; ++i)
        ids.push_back(static_cast<float>((i * 7919 + 3 * i * i) % c.vocabulary));
    ids.front() = static_cast<float>(c.vocabulary - 1);
    ids.back() = 0;
    return ids;
}

void check_text_embedding(Backend& backend, const TextCase& c, DType dtype) {
    INFO("batch " << c.batch << ", vocabulary " << c.vocabulary << ", tokens " << c.tokens
                  << ", dim " << c.dim << ", " << name(dtype));
    const size_t dim = c.dim;
    const auto token = random_eighths(c.vocabulary * dim, 4, 91);
    const auto position = random_eighths(c.tokens * dim, 4, 92);
    const auto ids = some_ids(c);
    const auto op = make_op(backend, c, dtype, token, position);
    const auto y = run_text_embedding(backend, c, dtype, *op, ids);
    std::vector<double> sum, tolerance;
    for (size_t row = 0; row < ids.size(); ++row)
        for (size_t i = 0; i < dim; ++i) {
            sum.push_back(token[static_cast<size_t>(ids[row]) * dim + i] +
                          position[row % c.tokens * dim + i]);
            // Multiples of 1/8 up to 8: exact but for the rounding to the output.
            tolerance.push_back(dtype == DType::f32 ? 0 : rounding(dtype, sum.back()));
        }
    check_close(y, sum, tolerance);
}

} // namespace

TEST_CASE("text_embedding: rows of the table and positions equal the reference") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (const TextCase& c :
             {TextCase{1, 1, 1, 1}, TextCase{2, 3, 5, 7}, TextCase{3, 40, 8, 32},
              TextCase{1, 300, 77, 33}, TextCase{2, 1000, 77, 512}, TextCase{1, 50, 3, 768},
              // around a warp's packs: 256 values
              TextCase{1, 9, 2, 248}, TextCase{1, 9, 2, 256}, TextCase{2, 9, 2, 264},
              TextCase{1, 9, 2, 257}, TextCase{1, 5, 2, 4096},
              // 40 SMs: 1 row to a block up to 159 rows, 4 from 320 on
              TextCase{2, 9, 79, 8}, TextCase{2, 9, 80, 8}, TextCase{4, 9, 80, 8},
              TextCase{19, 9, 17, 5}})
            check_text_embedding(backend, c, numerics.residual);
    });
}

TEST_CASE("text_embedding: an id outside the vocabulary gives a row of NaN, and no other") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (int dim : {8, 5}) {
            const TextCase c{2, 4, 3, dim};
            const auto table = random_eighths(4 * static_cast<size_t>(dim), 4, 93);
            const auto op = make_op(backend, c, numerics.residual, table,
                                    random_eighths(3 * static_cast<size_t>(dim), 4, 94));
            const auto y =
                run_text_embedding(backend, c, numerics.residual, *op, {0, -1, 3, 4, 2, 1 << 30});
            for (size_t row = 0; row < 6; ++row)
                for (int i = 0; i < dim; ++i)
                    CHECK(std::isnan(y[row * dim + i]) == (row == 1 || row == 3 || row == 5));
        }
    });
}

TEST_CASE("text_embedding: refuses what does not fit, by name") {
    on_each_backend([](Backend& backend) {
        const DType dtype = backend.numerics("auto").residual;
        const TextCase c{2, 4, 3, 8};
        const auto token = random_eighths(32, 4, 95), position = random_eighths(24, 4, 96);
        const auto op = make_op(backend, c, dtype, token, position);
        const DeviceTensor ids(backend, DType::i32, {2, 3}), y(backend, dtype, {2, 3, 8});
        const Stream stream(backend);
        const auto refused = [&](const View& a, const View& b) {
            return error_of(ErrorCode::invalid_argument, [&] { (*op)(a, b, stream); });
        };
        CHECK(contains(refused(ids.view().first(1), y.view()), "batch 1"));
        CHECK(contains(refused(View(ids.view().data, DType::i32, {2, 2}), y.view()), "(2, 2)"));
        CHECK(contains(refused(View(ids.view().data, DType::f32, {2, 3}), y.view()), "ids is"));
        CHECK(contains(refused(View(nullptr, DType::i32, {2, 3}), y.view()), "ids has no data"));
        CHECK(contains(refused(ids.view(), View(y.view().data, dtype, {2, 3, 4})), "(2, 3, 4)"));
        CHECK(
            contains(refused(View(y.view().data, DType::i32, {2, 3}), y.view()), "ids overlaps y"));
        const auto contradicts = [&](const TextCase& wrong) {
            return error_of(ErrorCode::invalid_argument,
                            [&] { (void)make_op(backend, wrong, dtype, token, position); });
        };
        CHECK(contains(contradicts({2, 0, 3, 8}), "vocabulary is 0"));
        CHECK(contains(contradicts({2, 4, -3, 8}), "tokens is -3"));
        CHECK(contains(contradicts({2, 4, 3, 0}), "dim is 0"));
        TextEmbeddingDesc desc;
        desc.vocabulary = 4;
        desc.tokens = 3;
        desc.dim = 8;
        desc.y = dtype;
        desc.batches = {2};
        const HostTensor table(DType::f32, {4, 8}, token), rows(DType::f32, {3, 8}, position);
        const auto with = [&](const View& a, const View& b) {
            return error_of(ErrorCode::invalid_argument, [&] {
                (void)backend.text_embedding(desc, {a, b});
            });
        };
        CHECK(contains(with({}, rows.view()), "token has no data"));
        CHECK(contains(with(table.view(), {}), "position has no data"));
        CHECK(contains(with(rows.view(), rows.view()), "must have 32 elements"));
    });
}

#include <algorithm>
#include <cmath>

#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/kernels/reference.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

struct SimilarityCase {
    int batch, labels, dim;
};

SimilarityDesc similarity_desc(DType w, const SimilarityCase& c) {
    SimilarityDesc desc;
    desc.labels = c.labels;
    desc.dim = c.dim;
    desc.scale = 100;
    desc.w = w;
    desc.batches = {c.batch};
    return desc;
}

std::vector<float> run_similarity(Backend& backend, Similarity& op, DType dtype,
                                  const SimilarityCase& c, const std::vector<float>& x,
                                  const std::vector<float>& norms, const std::vector<float>& w) {
    const DeviceTensor photos(backend, DType::f32, {c.batch, c.dim}, x);
    const DeviceTensor lengths(backend, DType::f32, {c.batch}, norms);
    const DeviceTensor labels(backend, dtype, {c.labels, c.dim}, w);
    return run_every_way(backend, op.scratch_bytes(), {{DType::f32, {c.batch, c.labels}}},
                         [&](const std::vector<View>& y, Scratch scratch, StreamRef stream) {
                             op(photos.view(), lengths.view(), labels.view(), y[0], scratch,
                                stream);
                         })[0];
}

std::vector<float> some_norms(int batch) {
    std::vector<float> norms(batch);
    for (int b = 0; b < batch; ++b)
        norms[b] = 1.3F + 0.7F * static_cast<float>(b % 11);
    return norms;
}

void check_similarity(Backend& backend, DType dtype, const SimilarityCase& c) {
    INFO("batch " << c.batch << ", labels " << c.labels << ", dim " << c.dim);
    const auto x = random_eighths(static_cast<size_t>(c.batch) * c.dim, 3, 61);
    const auto w = random_eighths(static_cast<size_t>(c.labels) * c.dim, 1, 62);
    const auto norms = some_norms(c.batch);
    const SimilarityDesc desc = similarity_desc(dtype, c);
    const auto op = backend.similarity(desc);
    const auto y = run_similarity(backend, *op, dtype, c, x, norms, w);
    const auto reference = similarity(x, norms, w, c.dim, desc.scale);
    // Sums of products of eighths are exact; the quotient and the scale round once each.
    std::vector<double> tolerance;
    for (double value : reference)
        tolerance.push_back(3 * rounding(DType::f32, value));
    check_close(y, reference, tolerance);
}

} // namespace

TEST_CASE("similarity: equals the reference at small, odd and model shapes") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (const SimilarityCase& c :
             {SimilarityCase{1, 1, 8}, SimilarityCase{2, 3, 16}, SimilarityCase{7, 4, 248},
              SimilarityCase{8, 5, 256}, SimilarityCase{9, 31, 264}, SimilarityCase{1, 32, 512},
              SimilarityCase{3, 33, 768}, SimilarityCase{17, 65, 40}, SimilarityCase{32, 100, 512}})
            check_similarity(backend, numerics.compute, c);
        if (numerics.compute != DType::f16)
            check_similarity(backend, numerics.compute, {2, 3, 37});
    });
}

TEST_CASE("similarity: keeps fp32 photos in fp32") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        // Label l is the unit vector l, so that a cosine is one element of the photo: one rounding
        // of x to a narrower dtype would show.
        const SimilarityCase c{3, 8, 8};
        std::vector<float> x(24), w(64);
        for (size_t i = 0; i < x.size(); ++i)
            x[i] = 1 + static_cast<float>(i) / 997;
        for (size_t l = 0; l < 8; ++l)
            w[l * 9] = 1;
        const SimilarityDesc desc = similarity_desc(numerics.compute, c);
        const auto op = backend.similarity(desc);
        const auto norms = some_norms(3);
        const auto y = run_similarity(backend, *op, numerics.compute, c, x, norms, w);
        const auto reference = similarity(x, norms, w, c.dim, desc.scale);
        std::vector<double> tolerance;
        for (double value : reference)
            tolerance.push_back(3 * rounding(DType::f32, value));
        check_close(y, reference, tolerance);
    });
}

TEST_CASE("similarity: a set of labels can be replaced by a smaller one") {
    on_each_backend([](Backend& backend) {
        const DType dtype = backend.numerics("auto").compute;
        const auto op = backend.similarity(similarity_desc(dtype, {2, 40, 16}));
        const auto x = random_eighths(32, 3, 63), w = random_eighths(40 * 16, 1, 64);
        for (int labels : {40, 7, 1}) {
            const std::vector<float> part(w.begin(), w.begin() + labels * 16);
            const auto y = run_similarity(backend, *op, dtype, {2, labels, 16}, x, {2, 4}, part);
            const auto reference = similarity(x, {2, 4}, part, 16, 100);
            check_close(y, reference, std::vector<double>(reference.size(), 1e-4));
        }
    });
}

TEST_CASE("similarity: a photo without a usable norm gets NaN, the others their cosines") {
    on_each_backend([](Backend& backend) {
        const DType dtype = backend.numerics("auto").compute;
        const SimilarityCase c{6, 9, 16};
        const auto op = backend.similarity(similarity_desc(dtype, c));
        const auto x = random_eighths(96, 3, 65), w = random_eighths(144, 1, 66);
        const auto y = run_similarity(backend, *op, dtype, c, x, {1, 0, INFINITY, NAN, -1, 2}, w);
        for (size_t i = 0; i < y.size(); ++i)
            CHECK(std::isnan(y[i]) == (i / 9 != 0 && i / 9 != 5));
    });
}

TEST_CASE("similarity: refuses what does not fit, by name") {
    on_each_backend([](Backend& backend) {
        const DType dtype = backend.numerics("auto").compute;
        const SimilarityDesc desc = similarity_desc(dtype, {2, 4, 8});
        const auto op = backend.similarity(desc);
        const DeviceTensor x(backend, DType::f32, {2, 8}), norm(backend, DType::f32, {2}),
            w(backend, dtype, {5, 8}), y(backend, DType::f32, {2, 4});
        const Stream stream(backend);
        const View a = x.view(), n = norm.view(), l = w.view().first(4), out = y.view();
        const auto refused = [&](const View& x_, const View& n_, const View& w_, const View& y_) {
            return error_of(ErrorCode::invalid_argument,
                            [&] { (*op)(x_, n_, w_, y_, {}, stream); });
        };
        CHECK(contains(refused(a.first(1), n, l, out), "batch 1"));
        CHECK(contains(refused(View(a.data, DType::f32, {2, 9}), n, l, out), "(2, 9)"));
        CHECK(contains(refused(View(nullptr, DType::f32, {2, 8}), n, l, out), "x has no data"));
        CHECK(contains(refused(a, n.first(1), l, out), "norm is (1)"));
        CHECK(contains(refused(a, n, w.view(), out), "5 labels"));
        CHECK(contains(refused(a, n, l.first(0), out), "0 labels"));
        CHECK(contains(refused(a, n, l.first(3), out), "(2, 4)"));
        CHECK(contains(refused(a, n, View(l.data, DType::u8, {4, 8}), out), "uint8"));
        CHECK(contains(refused(a, n, l, View(a.data, DType::f32, {2, 4})), "y overlaps x"));
        if (dtype == DType::f16) {
            const View odd_x(a.as<char>() + 4, DType::f32, {2, 8});
            const View odd_w(l.as<char>() + 2, dtype, {4, 8});
            CHECK(contains(refused(odd_x, n, l, out), "x is not 16-byte aligned"));
            CHECK(contains(refused(a, n, odd_w, out), "w is not 16-byte aligned"));
            const View odd_norm(n.as<char>() + 2, DType::f32, {2});
            const View odd_y(out.as<char>() + 1, DType::f32, {2, 4});
            CHECK(contains(refused(a, odd_norm, l, out), "norm is not 4-byte aligned"));
            CHECK(contains(refused(a, n, l, odd_y), "y is not 4-byte aligned"));
        }

        const auto not_planned = [&](auto change) {
            SimilarityDesc changed = desc;
            change(changed);
            return error_of(ErrorCode::invalid_argument,
                            [&] { (void)backend.similarity(changed); });
        };
        CHECK(contains(not_planned([](auto& d) { d.labels = 0; }), "labels is 0"));
        CHECK(contains(not_planned([](auto& d) { d.dim = -8; }), "dim is -8"));
        CHECK(contains(not_planned([](auto& d) { d.scale = NAN; }), "scale is nan"));
        CHECK(contains(not_planned([](auto& d) { d.batches = {}; }), "no batch sizes"));
        if (dtype == DType::f16) {
            CHECK(contains(not_planned([](auto& d) { d.dim = 36; }), "dim is 36"));
            CHECK(contains(not_planned([](auto& d) { d.w = DType::f32; }), "w is fp32"));
            CHECK(contains(not_planned([](auto& d) { d.batches = {1 << 20}; }), "batch 1048576"));
        }
    });
}

#include <algorithm>
#include <cmath>

#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/kernels/reference.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

TopKDesc top_k_desc(int batch, int classes, int k) {
    TopKDesc desc;
    desc.classes = classes;
    desc.k = k;
    desc.batches = {batch};
    return desc;
}

struct Result {
    std::vector<float> values, indices;
};

Result run_top_k(Backend& backend, TopK& op, int batch, int k, const std::vector<float>& x) {
    const int classes = static_cast<int>(x.size()) / batch;
    const DeviceTensor input(backend, DType::f32, {batch, classes}, x);
    const auto y = run_every_way(
        backend, op.scratch_bytes(), {{DType::f32, {batch, k}}, {DType::i32, {batch, k}}},
        [&](const std::vector<View>& out, Scratch scratch, StreamRef stream) {
            op(input.view(), out[0], out[1], scratch, stream);
        });
    return {y[0], y[1]};
}

void check_top_k(Backend& backend, int batch, int classes, int k, const std::vector<float>& x) {
    INFO("batch " << batch << ", classes " << classes << ", k " << k);
    const auto op = backend.top_k(top_k_desc(batch, classes, k));
    const Result y = run_top_k(backend, *op, batch, k, x);
    const TopClasses reference = top_k(x, classes, k);
    CHECK(std::equal(y.indices.begin(), y.indices.end(), reference.indices.begin(),
                     [](float a, int b) { return a == static_cast<float>(b); }));
    // The exponential rounds its argument relatively, here to 2^-24 of at most 200, and is off by a
    // few units itself; the sum adds up to classes / 256 terms in a lane and 13 partial ones.
    std::vector<double> tolerance;
    for (double value : reference.values)
        tolerance.push_back(value * 0x1p-24 * (200 + 32 + classes / 256.0) + 1e-38);
    check_close(y.values, reference.values, tolerance);
}

} // namespace

TEST_CASE("top_k: equals the reference at small, odd and large shapes") {
    on_each_backend([](Backend& backend) {
        struct Case {
            int batch, classes, k;
        };
        for (const Case& c :
             {Case{1, 1, 1}, Case{2, 2, 1}, Case{3, 5, 5}, Case{1, 64, 64}, Case{2, 255, 7},
              Case{2, 256, 3}, Case{2, 257, 10}, Case{3, 1000, 5}}) {
            // Eighths up to 16 repeat: ties are everywhere.
            check_top_k(backend, c.batch, c.classes, c.k,
                        random_eighths(static_cast<size_t>(c.batch) * c.classes, 16, 71));
        }
        if (kEverySize)
            check_top_k(backend, 1, 65536, 64, random_eighths(65536, 90, 72));
    });
}

TEST_CASE("top_k: the lower index wins among equals, of either sign of zero") {
    on_each_backend([](Backend& backend) {
        std::vector<float> x(600, -3);
        x[599] = x[0] = x[256] = x[300] = -1;
        check_top_k(backend, 1, 600, 6, x);
        for (size_t i = 0; i < x.size(); ++i)
            x[i] = i % 3 == 0 ? -0.0F : 0.0F;
        check_top_k(backend, 1, 600, 9, x);
    });
}

TEST_CASE("top_k: subtracts the maximum before the exponential") {
    on_each_backend([](Backend& backend) {
        check_top_k(backend, 1, 4, 3, {10000, 10001, 9999, -10000});
        check_top_k(backend, 1, 3, 3, {-3e38F, -3.1e38F, -3.2e38F});
    });
}

TEST_CASE("top_k: minus infinity is a probability of zero, and ranks last by index") {
    on_each_backend([](Backend& backend) {
        const auto op = backend.top_k(top_k_desc(1, 5, 5));
        const Result y = run_top_k(backend, *op, 1, 5, {-INFINITY, 1, -INFINITY, 2, -INFINITY});
        CHECK(y.indices == std::vector<float>{3, 1, 0, 2, 4});
        CHECK(y.values[2] == 0);
        CHECK(y.values[4] == 0);
        CHECK(y.values[0] + y.values[1] == doctest::Approx(1));
    });
}

TEST_CASE("top_k: a row without a softmax gets NaN and -1, the others their classes") {
    on_each_backend([](Backend& backend) {
        const int classes = 300;
        auto x = random_eighths(5 * classes, 4, 73);
        x[1 * classes + 299] = NAN;
        x[2 * classes] = NAN;
        x[3 * classes + 7] = INFINITY;
        std::fill_n(x.begin() + 4 * classes, classes, -INFINITY);
        const auto op = backend.top_k(top_k_desc(5, classes, 3));
        const Result y = run_top_k(backend, *op, 5, 3, x);
        for (size_t i = 0; i < y.values.size(); ++i) {
            CHECK(std::isnan(y.values[i]) == (i >= 3));
            CHECK((y.indices[i] == -1) == (i >= 3));
        }
    });
}

TEST_CASE("top_k: takes fewer classes than planned") {
    on_each_backend([](Backend& backend) {
        const auto op = backend.top_k(top_k_desc(1, 100, 2));
        const Result y = run_top_k(backend, *op, 1, 2, {1, 3, 2});
        CHECK(y.indices == std::vector<float>{1, 2});
    });
}

TEST_CASE("top_k: refuses what does not fit, by name") {
    on_each_backend([](Backend& backend) {
        const TopKDesc desc = top_k_desc(2, 6, 3);
        const auto op = backend.top_k(desc);
        const DeviceTensor x(backend, DType::f32, {2, 6}), values(backend, DType::f32, {2, 3}),
            indices(backend, DType::i32, {2, 3});
        const Stream stream(backend);
        const View a = x.view(), v = values.view(), i = indices.view();
        const auto refused = [&](const View& x_, const View& v_, const View& i_) {
            return error_of(ErrorCode::invalid_argument, [&] { (*op)(x_, v_, i_, {}, stream); });
        };
        CHECK(contains(refused(a.first(1), v, i), "batch 1"));
        CHECK(contains(refused(View(a.data, DType::f32, {2, 7}), v, i), "7 classes"));
        CHECK(contains(refused(View(a.data, DType::f32, {2, 2}), v, i), "2 classes"));
        CHECK(contains(refused(View(a.data, DType::i32, {2, 6}), v, i), "int32"));
        CHECK(contains(refused(View(nullptr, DType::f32, {2, 6}), v, i), "x has no data"));
        CHECK(contains(refused(a, View(v.data, DType::f32, {2, 4}), i), "(2, 4)"));
        CHECK(contains(refused(a, v, View(i.data, DType::f32, {2, 3})), "indices"));
        CHECK(contains(refused(a, View(a.data, DType::f32, {2, 3}), i), "values overlaps x"));
        CHECK(contains(refused(a, v, View(v.data, DType::i32, {2, 3})), "values overlaps indices"));
        CHECK(contains(refused(a, v, View(a.data, DType::i32, {2, 3})), "indices overlaps x"));
        if (backend.properties().kind != "cpu") {
            const auto moved = [](const View& view) {
                View odd = view;
                odd.data = view.as<char>() + 2;
                return odd;
            };
            CHECK(contains(refused(moved(a), v, i), "x is not 4-byte aligned"));
            CHECK(contains(refused(a, moved(v), i), "values is not 4-byte aligned"));
            CHECK(contains(refused(a, v, moved(i)), "indices is not 4-byte aligned"));
        }

        const auto not_planned = [&](auto change) {
            TopKDesc changed = desc;
            change(changed);
            return error_of(ErrorCode::invalid_argument, [&] { (void)backend.top_k(changed); });
        };
        CHECK(contains(not_planned([](auto& d) { d.k = 0; }), "k is 0"));
        CHECK(contains(not_planned([](auto& d) { d.k = 65; }), "k is 65"));
        CHECK(contains(not_planned([](auto& d) { d.k = 7; }), "classes is 6"));
        CHECK(contains(not_planned([](auto& d) { d.classes = 65537; }), "classes is 65537"));
        CHECK(contains(not_planned([](auto& d) { d.batches = {0}; }), "batch size is 0"));
    });
}

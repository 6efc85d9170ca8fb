#include <algorithm>
#include <cmath>

#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/kernels/reference.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

struct Case {
    int batch, tokens, heads, head_dim;
    bool causal = false;
};

// q and k reach 3, so that logits have a standard deviation of about 3: attention far from uniform,
// where a lost key or a wrong scale shows.
std::vector<float> make_qkv(const Case& c) {
    return random_eighths(static_cast<size_t>(c.batch) * c.tokens * 3 * c.heads * c.head_dim, 3,
                          41);
}

void check(Backend& backend, DType dtype, const Case& c) {
    INFO("batch " << c.batch << ", tokens " << c.tokens << ", heads " << c.heads << ", head_dim "
                  << c.head_dim << ", causal " << c.causal);
    const auto qkv = make_qkv(c);
    const int dim = c.heads * c.head_dim;
    AttentionDesc desc;
    desc.tokens = c.tokens;
    desc.heads = c.heads;
    desc.head_dim = c.head_dim;
    desc.scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
    desc.causal = c.causal;
    desc.dtype = dtype;
    desc.batches = {1, c.batch};
    const auto op = backend.attention(desc);
    const DeviceTensor input(backend, dtype, {c.batch, c.tokens, 3 * dim}, qkv);
    const auto y =
        run_every_way(backend, op->scratch_bytes(), {{dtype, {c.batch, c.tokens, dim}}},
                      [&](const std::vector<View>& out, Scratch scratch, StreamRef stream) {
                          (*op)(input.view(), out[0], scratch, stream);
                      });
    const auto reference = attention(qkv, c.tokens, c.heads, c.head_dim, desc.scale, c.causal);
    // Products of eighths are exact; the scale and the difference from the row's largest round
    // logits of at most 9 sqrt(head_dim) to 2^-24 of that, exp adds a few units, the sums over keys
    // log2(tokens) + 8 units: all relative to weights that sum to 1, times |v| <= 3. Narrower
    // dtypes round the weights and the result.
    const double logit = 9 * std::sqrt(static_cast<double>(c.head_dim));
    const double unit = 0x1p-24 * (4 * logit + 16 + std::log2(c.tokens));
    std::vector<double> tolerance;
    for (double value : reference)
        tolerance.push_back(
            3 * unit + (dtype == DType::f32 ? 0 : 3 * rounding(dtype, 1) + rounding(dtype, value)));
    check_close(y[0], reference, tolerance);
}

} // namespace

TEST_CASE("attention: equals the reference at small, odd and model shapes") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (const Case& c :
             {Case{1, 1, 1, 1}, Case{2, 2, 1, 3}, Case{3, 5, 2, 7}, Case{1, 16, 3, 8},
              Case{2, 17, 2, 16}, Case{1, 31, 1, 33}, Case{5, 50, 3, 64}, Case{1, 50, 12, 64},
              Case{2, 65, 2, 32}, Case{3, 197, 2, 64}, Case{1, 257, 2, 64}})
            check(backend, numerics.compute, c);
    });
}

TEST_CASE("attention: goes through a large batch in groups") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        check(backend, numerics.compute, {7, 197, 4, 8});
        check(backend, numerics.compute, {8, 197, 4, 8});
        check(backend, numerics.compute, {24, 50, 12, 16});
    });
}

TEST_CASE("attention: causal hides later tokens") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (const Case& c :
             {Case{1, 1, 1, 4, true}, Case{2, 2, 2, 8, true}, Case{3, 7, 2, 5, true},
              Case{2, 33, 3, 64, true}, Case{2, 77, 8, 64, true}, Case{6, 197, 4, 16, true}})
            check(backend, numerics.compute, c);
    });
}

TEST_CASE("attention: keeps a photo of NaN to itself") {
    on_each_backend([](Backend& backend) {
        const Case c{3, 9, 2, 16};
        auto qkv = make_qkv(c);
        const size_t photo = qkv.size() / 3;
        std::fill_n(qkv.begin() + static_cast<std::ptrdiff_t>(photo), photo, NAN);
        AttentionDesc desc;
        desc.tokens = c.tokens;
        desc.heads = c.heads;
        desc.head_dim = c.head_dim;
        desc.scale = 0.25F;
        desc.batches = {3};
        const auto op = backend.attention(desc);
        const DeviceTensor input(backend, DType::f32, {3, 9, 96}, qkv);
        const auto y =
            run_every_way(backend, op->scratch_bytes(), {{DType::f32, {3, 9, 32}}},
                          [&](const std::vector<View>& out, Scratch scratch, StreamRef stream) {
                              (*op)(input.view(), out[0], scratch, stream);
                          });
        for (size_t i = 0; i < y[0].size(); ++i)
            CHECK(std::isnan(y[0][i]) == (i / (9 * 32) == 1));
    });
}

TEST_CASE("attention: refuses what does not fit, by name") {
    on_each_backend([](Backend& backend) {
        AttentionDesc desc;
        desc.tokens = 4;
        desc.heads = 2;
        desc.head_dim = 8;
        desc.scale = 1;
        desc.batches = {2};
        const auto op = backend.attention(desc);
        const DeviceTensor qkv(backend, DType::f32, {2, 4, 48}), y(backend, DType::f32, {2, 4, 16});
        const DeviceMemory memory = make_device_memory(backend, op->scratch_bytes());
        const Scratch scratch{memory.get(), op->scratch_bytes()};
        const Stream stream(backend);
        const auto refused = [&](const View& a, const View& b, Scratch given) {
            return error_of(ErrorCode::invalid_argument, [&] { (*op)(a, b, given, stream); });
        };
        const View a = qkv.view(), b = y.view();
        CHECK(contains(refused(View(a.data, DType::f32, {1, 4, 48}), b, scratch), "batch 1"));
        CHECK(contains(refused(View(a.data, DType::f32, {2, 4, 16}), b, scratch), "(2, 4, 16)"));
        CHECK(contains(refused(a, View(b.data, DType::u8, {2, 4, 16}), scratch), "uint8"));
        CHECK(contains(refused(a, b, {scratch.data, 7}), "7 bytes"));
        CHECK(contains(refused(a, b, {static_cast<char*>(scratch.data) + 4, scratch.bytes}),
                       "aligned"));
        desc.scale = 0;
        CHECK(
            contains(error_of(ErrorCode::invalid_argument, [&] { (void)backend.attention(desc); }),
                     "scale is 0"));
    });
}

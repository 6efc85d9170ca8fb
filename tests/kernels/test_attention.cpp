#include <algorithm>
#include <cmath>

#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/kernels/reference.h"
#include "tests/simt/include/simt/config.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

struct AttentionCase {
    int batch, tokens, heads, head_dim;
    bool causal = false;
};

// fp16 is computed by the CUDA backend, whose tensor cores take dims by eights; its refusal of the
// rest has a test below.
bool is_served(DType dtype, const AttentionCase& c) {
    return dtype != DType::f16 || c.head_dim % 8 == 0;
}

// q and k reach 3, so that logits have a standard deviation of about 3: attention far from uniform,
// where a lost key or a wrong scale shows.
std::vector<float> make_qkv(const AttentionCase& c, float limit = 3) {
    return random_eighths(static_cast<size_t>(c.batch) * c.tokens * 3 * c.heads * c.head_dim, limit,
                          41);
}

AttentionDesc attention_desc(DType dtype, const AttentionCase& c) {
    AttentionDesc desc;
    desc.tokens = c.tokens;
    desc.heads = c.heads;
    desc.head_dim = c.head_dim;
    desc.scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
    desc.causal = c.causal;
    desc.dtype = dtype;
    desc.batches = {c.batch};
    return desc;
}

std::vector<float> run_attention(Backend& backend, Attention& op, DType dtype,
                                 const AttentionCase& c, const std::vector<float>& qkv) {
    const int dim = c.heads * c.head_dim;
    const DeviceTensor input(backend, dtype, {c.batch, c.tokens, 3 * dim}, qkv);
    return run_every_way(backend, op.scratch_bytes(), {{dtype, {c.batch, c.tokens, dim}}},
                         [&](const std::vector<View>& out, Scratch scratch, StreamRef stream) {
                             op(input.view(), out[0], scratch, stream);
                         })[0];
}

// qkv holds values whose products and their sums are exact in fp32. Returns the largest logit.
double check_attention(Backend& backend, const AttentionDesc& desc, const AttentionCase& c,
                       const std::vector<float>& qkv) {
    INFO("batch " << c.batch << ", tokens " << c.tokens << ", heads " << c.heads << ", head_dim "
                  << c.head_dim << ", causal " << c.causal);
    const auto op = backend.attention(desc);
    const auto y = run_attention(backend, *op, desc.dtype, c, qkv);
    AttentionBounds bounds;
    const auto reference =
        attention(qkv, c.tokens, c.heads, c.head_dim, desc.scale, c.causal, &bounds);
    // Logits are exact before the scale; the scale and the difference from the row's largest round
    // them to 2^-24 of the largest, which moves a weight relatively by as much; exp adds a few
    // units, the sums over keys log2(tokens) + 8 in lanes and blocks, or one for each key in the
    // accumulators of tensor cores, which truncate: all relative to the terms.
    const bool half = desc.dtype == DType::f16;
    const double unit = 0x1p-24 * (4 * bounds.largest_logit + 16 + std::log2(c.tokens)) +
                        (half ? 0x1p-23 * c.tokens : 0);
    std::vector<double> tolerance;
    for (size_t i = 0; i < reference.size(); ++i) {
        double bound = unit * bounds.magnitude[i];
        // fp16 weights sum to 1 as rounded (kernels/cuda/attention_kernel.cuh), bf16 ones do not;
        // the result is rounded once more.
        if (desc.dtype != DType::f32)
            bound += rounding(desc.dtype, 1.001) * (half ? bounds.spread : bounds.magnitude)[i] +
                     rounding(desc.dtype, reference[i] * 1.001);
        tolerance.push_back(bound);
    }
    check_close(y, reference, tolerance);
    return bounds.largest_logit;
}

void check_attention(Backend& backend, DType dtype, const AttentionCase& c) {
    if (is_served(dtype, c))
        check_attention(backend, attention_desc(dtype, c), c, make_qkv(c));
}

} // namespace

TEST_CASE("attention: equals the reference at small, odd and model shapes") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (const AttentionCase& c :
             {AttentionCase{1, 1, 1, 1}, AttentionCase{2, 2, 1, 3}, AttentionCase{3, 5, 2, 7},
              AttentionCase{1, 16, 3, 8}, AttentionCase{2, 17, 2, 16}, AttentionCase{1, 31, 1, 33},
              AttentionCase{2, 50, 3, 64}, AttentionCase{1, 50, 12, 64},
              AttentionCase{2, 65, 2, 32}})
            check_attention(backend, numerics.compute, c);
        if (kEverySize) {
            check_attention(backend, numerics.compute, {2, 197, 1, 64});
            check_attention(backend, numerics.compute, {1, 257, 1, 64});
            check_attention(backend, numerics.compute, {1, 577, 1, 64});
        }
    });
}

TEST_CASE("attention: equals the reference around every tile") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (int tokens : {1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65})
            check_attention(backend, numerics.compute, {1, tokens, 1, 64, tokens % 4 == 1});
        if (kEverySize)
            for (int tokens : {127, 128, 129})
                check_attention(backend, numerics.compute, {1, tokens, 1, 32, tokens == 128});
    });
}

TEST_CASE("attention: equals the reference at every head_dim") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (int head_dim : {8, 24, 32, 40, 64, 72, 80, 88, 96, 104, 120, 128})
            check_attention(backend, numerics.compute, {1, 19, 2, head_dim, head_dim % 16 == 8});
        // Over a tile: the next keys pass through registers.
        for (int head_dim : {32, 64, 72, 80, 96, 128})
            check_attention(backend, numerics.compute, {1, 70, 1, head_dim, head_dim == 80});
    });
}

TEST_CASE("simt: attention: every head_dim reaches shared memory without bank conflicts") {
#if defined(__SANITIZE_THREAD__)
    MESSAGE("skipped: the emulator does not count under ThreadSanitizer");
#else
    const auto backend = cuda::make_backend({});
    simt::config().count_banks = true;
    for (int head_dim : {32, 64, 72, 80, 96, 128})
        for (const AttentionCase& c : {AttentionCase{1, 70, 1, head_dim},
                                       AttentionCase{1, 197, 12, head_dim}}) { // 4, 2 warps
            const AttentionDesc desc = attention_desc(DType::f16, c);
            const auto op = backend->attention(desc);
            const DeviceTensor x(*backend, DType::f16, {1, c.tokens, 3 * c.heads * head_dim},
                                 make_qkv(c));
            const DeviceTensor y(*backend, DType::f16, {1, c.tokens, c.heads * head_dim});
            const Stream stream(*backend);
            (void)simt::take_bank_stats();
            (*op)(x.view(), y.view(), {}, stream);
            backend->synchronize(stream);
            const simt::BankStats stats = simt::take_bank_stats();
            INFO(op->kernel(1) << ", head_dim " << head_dim << ", tokens " << c.tokens);
            CHECK(stats.accesses > 0);
            CHECK(stats.extra_wavefronts == 0);
        }
    simt::config().count_banks = false;
#endif
}

TEST_CASE("attention: goes through a large batch in groups") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        if (numerics.compute == DType::f16) { // its tiles do not know of groups
            check_attention(backend, numerics.compute, {5, 50, 4, 16});
            return;
        }
        check_attention(backend, numerics.compute, {24, 50, 12, 16});
        check_attention(backend, numerics.compute, {7, 197, 4, 8});
        check_attention(backend, numerics.compute, {8, 197, 4, 8});
    });
}

TEST_CASE("attention: causal hides later tokens") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (const AttentionCase& c :
             {AttentionCase{1, 1, 1, 4, true}, AttentionCase{2, 2, 2, 8, true},
              AttentionCase{3, 7, 2, 5, true}, AttentionCase{2, 33, 2, 64, true},
              AttentionCase{1, 77, 4, 64, true}})
            check_attention(backend, numerics.compute, c);
        if (kEverySize)
            check_attention(backend, numerics.compute, {2, 197, 2, 16, true});
    });
}

TEST_CASE("attention: keeps its precision where logits are large") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (bool causal : {false, true}) {
            const AttentionCase c{1, 70, 1, 64, causal};
            const auto qkv = make_qkv(c, 10);
            CHECK(check_attention(backend, attention_desc(numerics.compute, c), c, qkv) > 80);
        }
    });
}

TEST_CASE("attention: keeps its precision beside outlier channels") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        const AttentionCase c{1, 70, 2, 32};
        auto qkv = make_qkv(c);
        // One channel of q, k and v far from zero for every token, as trained models have them: it
        // adds the same to every logit of a row, here 60 * 60 / sqrt(32) = 636. Whole numbers:
        // beyond 32 bf16 has no eighths.
        const size_t dim = static_cast<size_t>(c.heads) * c.head_dim;
        for (size_t token = 0; token < qkv.size() / (3 * dim); ++token)
            for (size_t part = 0; part < 3; ++part) {
                float& x = qkv[token * 3 * dim + part * dim + 5];
                x = std::round(x) + (part < 2 ? 60.0F : 100.0F);
            }
        CHECK(check_attention(backend, attention_desc(numerics.compute, c), c, qkv) > 600);
    });
}

// One key takes nearly everything and its value is 0, so that the result is made of weights near
// 2^-20, where fp16 would keep four bits of them.
TEST_CASE("attention: keeps the small weights beside a key far ahead") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (int ahead : {0, 30, 69}) { // in the first tile, in it, and in the second
            INFO("key " << ahead);
            const AttentionCase c{1, 70, 1, 32};
            std::vector<float> qkv(static_cast<size_t>(c.tokens) * 3 * c.head_dim);
            for (int token = 0; token < c.tokens; ++token) {
                float* const q = &qkv[static_cast<size_t>(token) * 3 * c.head_dim];
                q[0] = 1;
                q[32] = token == ahead ? 16 : static_cast<float>(token % 5) / 8;
                for (int d = 0; d < 32; ++d)
                    q[64 + d] = token == ahead ? 0 : static_cast<float>(1000 + 8 * d + token);
            }
            AttentionDesc desc = attention_desc(numerics.compute, c);
            desc.scale = 0.86643398F; // 20 ln(2) / 16
            check_attention(backend, desc, c, qkv);
        }
    });
}

TEST_CASE("attention: keeps a photo of NaN to itself") {
    on_each_backend([](Backend& backend) {
        const DType dtype = backend.numerics("auto").compute;
        for (const AttentionCase& c : {AttentionCase{3, 9, 2, 16}, AttentionCase{3, 50, 1, 64},
                                       AttentionCase{3, 65, 1, 64, true}}) {
            auto qkv = make_qkv(c);
            const size_t photo = qkv.size() / 3;
            std::fill_n(qkv.begin() + static_cast<std::ptrdiff_t>(photo), photo, NAN);
            const auto op = backend.attention(attention_desc(dtype, c));
            const auto y = run_attention(backend, *op, dtype, c, qkv);
            size_t wrong = 0;
            for (size_t i = 0; i < y.size(); ++i)
                wrong += std::isnan(y[i]) != (i / (y.size() / 3) == 1);
            CHECK(wrong == 0);
        }
    });
}

TEST_CASE("attention: one NaN or infinity of q shows in its row and in no other") {
    on_each_backend([](Backend& backend) {
        const DType dtype = backend.numerics("auto").compute;
        const AttentionCase c{1, 70, 1, 32};
        for (float bad : {NAN, INFINITY, -INFINITY})
            for (int row : {0, 33, 69}) {
                auto qkv = make_qkv(c);
                qkv[static_cast<size_t>(row) * 96 + 7] = bad;
                const auto op = backend.attention(attention_desc(dtype, c));
                const auto y = run_attention(backend, *op, dtype, c, qkv);
                size_t wrong = 0;
                for (size_t i = 0; i < y.size(); ++i)
                    wrong += std::isnan(y[i]) != (static_cast<int>(i / 32) == row);
                CHECK(wrong == 0);
            }
    });
}

TEST_CASE("attention: says what serves each batch") {
    on_each_backend([](Backend& backend) {
        const DType dtype = backend.numerics("auto").compute;
        AttentionDesc desc = attention_desc(dtype, {1, 197, 12, 64});
        desc.batches = {1, 64};
        const auto op = backend.attention(desc);
        CHECK(contains(error_of(ErrorCode::invalid_argument, [&] { (void)op->kernel(2); }),
                       "batch 2"));
        if (dtype != DType::f16)
            return;
        CHECK(op->scratch_bytes() == 0);
        CHECK(contains(op->kernel(1), "tiles of "));
        desc.tokens = 50; // one tile: 16 rows are a warp's work in either
        CHECK(contains(backend.attention(desc)->kernel(1), "tiles of 64, 12 blocks"));
    });
}

TEST_CASE(
    "simt: attention: small tiles serve where the grid of large ones would not fill the SMs") {
    for (int sm_count : {40, 48, 132}) {
        CAPTURE(sm_count);
        simt::config().sm_count = sm_count;
        const auto backend = cuda::make_backend({});
        simt::config().sm_count = simt::Config{}.sm_count;
        CHECK(backend->properties().compute_units == sm_count);
        AttentionDesc desc = attention_desc(DType::f16, {1, 197, 12, 64});
        desc.batches = {1, 64};
        const auto op = backend->attention(desc);
        CHECK(contains(op->kernel(1),
                       sm_count == 40 ? "tiles of 32, 84 blocks" : "tiles of 64, 48 blocks"));
        CHECK(contains(op->kernel(64), "tiles of 64, 3072 blocks"));
    }
}

TEST_CASE("attention: refuses what does not fit, by name") {
    on_each_backend([](Backend& backend) {
        const DType dtype = backend.numerics("auto").compute;
        const bool half = dtype == DType::f16;
        AttentionDesc desc = attention_desc(dtype, {2, 4, 2, 8});
        const auto op = backend.attention(desc);
        const DeviceTensor qkv(backend, dtype, {2, 4, 48}), y(backend, dtype, {2, 4, 16});
        const DeviceMemory memory = make_device_memory(backend, op->scratch_bytes());
        const Scratch scratch{memory.get(), op->scratch_bytes()};
        const Stream stream(backend);
        const auto refused = [&](const View& a, const View& b, Scratch given) {
            return error_of(ErrorCode::invalid_argument, [&] { (*op)(a, b, given, stream); });
        };
        const View a = qkv.view(), b = y.view();
        CHECK(contains(refused(View(a.data, dtype, {1, 4, 48}), b, scratch), "batch 1"));
        CHECK(contains(refused(View(a.data, dtype, {2, 4, 16}), b, scratch), "(2, 4, 16)"));
        CHECK(contains(refused(a, View(b.data, DType::u8, {2, 4, 16}), scratch), "uint8"));
        CHECK(contains(refused(View(nullptr, dtype, {2, 4, 48}), b, scratch), "qkv has no data"));
        CHECK(contains(refused(a, View(nullptr, dtype, {2, 4, 16}), scratch), "y has no data"));
        if (op->scratch_bytes() > 0) {
            CHECK(contains(refused(a, b, {scratch.data, 7}), "7 bytes"));
            CHECK(contains(refused(a, b, {static_cast<char*>(scratch.data) + 4, scratch.bytes}),
                           "aligned"));
        }
        if (half) {
            const View odd_a(a.as<char>() + 8, dtype, {2, 4, 48});
            const View odd_b(b.as<char>() + 8, dtype, {2, 4, 16});
            CHECK(contains(refused(odd_a, b, scratch), "qkv is not 16-byte aligned"));
            CHECK(contains(refused(a, odd_b, scratch), "y is not 16-byte aligned"));
            const View inside(a.as<char>() + 2 * 4 * 48 * 2 - 16, dtype, {2, 4, 16});
            CHECK(contains(refused(a, inside, scratch), "y overlaps qkv"));
        }

        const auto not_planned = [&](auto change) {
            AttentionDesc changed = desc;
            change(changed);
            return error_of(ErrorCode::invalid_argument, [&] { (void)backend.attention(changed); });
        };
        CHECK(contains(not_planned([](auto& d) { d.scale = 0; }), "scale is 0"));
        CHECK(contains(not_planned([](auto& d) { d.scale = -1; }), "scale is -1"));
        CHECK(contains(not_planned([](auto& d) { d.scale = NAN; }), "scale is nan"));
        CHECK(contains(not_planned([](auto& d) { d.tokens = 0; }), "tokens is 0"));
        CHECK(contains(not_planned([](auto& d) { d.heads = -3; }), "heads is -3"));
        CHECK(contains(not_planned([](auto& d) { d.head_dim = 0; }), "head_dim is 0"));
        CHECK(contains(not_planned([](auto& d) { d.batches = {}; }), "no batch sizes"));
        if (half) {
            CHECK(contains(not_planned([](auto& d) { d.head_dim = 36; }), "head_dim is 36"));
            CHECK(contains(not_planned([](auto& d) { d.head_dim = 136; }), "head_dim is 136"));
            CHECK(contains(not_planned([](auto& d) { d.scale = INFINITY; }), "scale is inf"));
            CHECK(contains(not_planned([](auto& d) { d.heads = 5000; }), "heads is 5000"));
            CHECK(contains(not_planned([](auto& d) { d.tokens = 1 << 21; }), "tokens is 2097152"));
            CHECK(contains(not_planned([](auto& d) { d.batches = {70000}; }), "batch 70000"));
            CHECK(contains(not_planned([](auto& d) { d.dtype = DType::f32; }), "fp32"));
        }
    });
}

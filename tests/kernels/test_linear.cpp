#include <cmath>

#include "kernels/cuda/gemm_table.h"
#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/kernels/reference.h"
#include "tests/simt/include/simt/config.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

struct LinearCase {
    int batch, rows, in, out;
    Activation activation = Activation::none;
    bool accumulate = false, bias = true;
    DType weights = DType::f32;
    std::vector<int> parts = {};   // rows of the weight's parts; empty: one part
    bool once = false;             // a single call, where there are many cases
    std::string kernel = {};       // that must serve it; empty: any
    std::vector<float> extra = {}; // planted into what is added to, one behind the other
};

// The parts of a weight or bias with `columns` values per row, as a file may have them.
std::vector<HostTensor> split(const std::vector<float>& values, const std::vector<int>& parts,
                              int columns, bool vector, DType dtype) {
    std::vector<HostTensor> tensors;
    size_t first = 0;
    for (int rows : parts) {
        const auto extents = vector ? std::vector<int>{rows} : std::vector<int>{rows, columns};
        tensors.emplace_back(dtype, extents,
                             slice(values, first, static_cast<size_t>(rows) * columns));
        first += static_cast<size_t>(rows) * columns;
    }
    return tensors;
}

std::vector<View> views(const std::vector<HostTensor>& tensors) {
    std::vector<View> all;
    for (const HostTensor& tensor : tensors)
        all.push_back(tensor.view());
    return all;
}

// One call on fresh outputs, for cases by the dozen.
std::vector<std::vector<float>>
run_once(Backend& backend, size_t scratch_bytes, const std::vector<Output>& outputs,
         const std::function<void(const std::vector<View>& y, Scratch, StreamRef)>& call) {
    const Output& only = outputs.front();
    const DeviceTensor y = only.initial.empty()
                               ? DeviceTensor(backend, only.dtype, only.extents)
                               : DeviceTensor(backend, only.dtype, only.extents, only.initial);
    const DeviceTensor scratch(backend, DType::u8, {static_cast<int>(scratch_bytes)});
    const Stream stream(backend);
    call({y.view()}, {scratch.view().data, scratch_bytes}, stream);
    backend.synchronize(StreamRef(stream));
    scratch.bytes(); // for its guard bands
    return {y.values()};
}

// Inputs are multiples of 1/8 within 1, so every partial sum is exact in fp32 (below 2^18 steps of
// 1/64 for up to 4096 terms): whatever the order of additions, a product without an activation must
// equal the reference, up to the one rounding of a narrower y.
void check_linear(Backend& backend, Numerics numerics, const LinearCase& c, DType y_dtype) {
    INFO("batch " << c.batch << ", rows " << c.rows << ", in " << c.in << ", out " << c.out
                  << ", activation " << static_cast<int>(c.activation) << ", accumulate "
                  << c.accumulate << ", bias " << c.bias << ", y " << name(y_dtype));
    const size_t rows = static_cast<size_t>(c.batch) * c.rows;
    const auto x = random_eighths(rows * c.in, 1, 1);
    const auto w = random_eighths(static_cast<size_t>(c.out) * c.in, 1, 2);
    const auto bias = c.bias ? random_eighths(c.out, 4, 3) : std::vector<float>();
    auto before = c.accumulate ? random_eighths(rows * c.out, 8, 4) : std::vector<float>();
    for (size_t i = 0; i < c.extra.size(); ++i)
        before[(i * 37 + 5) % before.size()] = c.extra[i];

    LinearDesc desc;
    desc.rows = c.rows;
    desc.in = c.in;
    desc.out = c.out;
    desc.activation = c.activation;
    desc.accumulate = c.accumulate;
    desc.x = numerics.compute;
    desc.y = y_dtype;
    desc.batches = {1, c.batch, c.batch + 3};
    std::unique_ptr<Linear> op;
    {
        const std::vector<int> parts = c.parts.empty() ? std::vector<int>{c.out} : c.parts;
        const auto weight_parts = split(w, parts, c.in, false, c.weights);
        const auto bias_parts =
            c.bias ? split(bias, parts, 1, true, c.weights) : std::vector<HostTensor>();
        op = backend.linear(desc, {views(weight_parts), views(bias_parts)});
    } // the weights are not used afterwards

    const DeviceTensor input(backend, desc.x, {c.batch, c.rows, c.in}, x);
    const Output output{y_dtype, {c.batch, c.rows, c.out}, before};
    const auto call = [&](const std::vector<View>& out, Scratch scratch, StreamRef stream) {
        (*op)(input.view(), out[0], scratch, stream);
    };
    const auto run = c.once ? run_once : run_every_way;
    const auto y = run(backend, op->scratch_bytes(), {output}, call);
    auto reference = linear(x, w, bias, c.in, c.out, c.activation);
    for (size_t i = 0; i < before.size(); ++i)
        reference[i] += before[i];
    // A library's product, activated by a pass of ours, is rounded before that once more.
    const bool twice = contains(op->kernel(c.batch), "bias_activation");
    const auto bare = linear(x, w, {}, c.in, c.out, Activation::none);
    std::vector<double> tolerance;
    for (size_t i = 0; i < reference.size(); ++i) {
        const double value = reference[i];
        // fp32: nothing to round without an activation. Else exp, erf and tanh as polynomials: a
        // few units of fp32 in the factor of x, and an absolute 2e-7 of erf's formula; |x| is at
        // most 8 times |y| where y is not nearly 0, and y nearly 0 is far below 1e-5.
        double bound = y_dtype == DType::f32 ? 0 : rounding(y_dtype, value);
        if (c.activation != Activation::none && c.activation != Activation::relu)
            bound += 1e-5 + 4e-6 * std::abs(value);
        if (twice)
            bound += rounding(y_dtype, bare[i]);
        tolerance.push_back(bound);
    }
    check_close(y[0], reference, tolerance);
    CHECK(op->weight_bytes() >= w.size() * size_bytes(desc.x));
    if (c.kernel.empty())
        CHECK_FALSE(op->kernel(c.batch).empty());
    else
        CHECK(op->kernel(c.batch) == c.kernel);
}

// A backend on the emulator that takes these kernels for these shapes.
std::unique_ptr<Backend> with_table(std::vector<cuda::GemmTable::Row> rows) {
    return cuda::make_backend(
        {.table = std::make_unique<cuda::GemmTable>(cuda::GemmTable(std::move(rows)))});
}

} // namespace

TEST_CASE("linear: equals the reference at small, odd and model shapes") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        const LinearCase cases[] = {
            {1, 1, 1, 1},     {1, 1, 3, 5},     {2, 3, 7, 9},      {1, 7, 8, 8},
            {3, 1, 16, 31},   {2, 5, 33, 17},   {1, 50, 64, 96},   {4, 17, 65, 63},
            {1, 49, 192, 64}, {2, 50, 768, 40}, {1, 50, 768, 768}, {2, 50, 3072, 128},
        };
        for (const LinearCase& c : cases) {
            if (!kEverySize && numerics.compute == DType::f16 && c.in >= 768)
                continue;
            check_linear(backend, numerics, c, numerics.compute);
            if (numerics.compute == DType::bf16) // the processor mixes; the CUDA backend does not
                check_linear(backend, numerics, c, DType::f32);
        }
    });
}

// Every pair of a number of rows and a width, and of either with a depth: one below, at and above
// the extents of tiles, the vectors of 8 and 4 values, and a step of 32.
TEST_CASE("linear: equals the reference around the edges of tiles") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        const int rows[] = {1, 2, 50, 63, 64, 65, 127, 128, 129, 197};
        const int columns[] = {1, 7, 8, 95, 96, 97, 192, 768};
        const int inner[] = {1, 7, 8, 31, 32, 33, 588, 768};
        for (size_t m = 0; m < std::size(rows); ++m)
            for (size_t n = kEverySize ? 0 : m % 2; n < std::size(columns);
                 n += kEverySize ? 1 : 2) {
                LinearCase c{1, rows[m], inner[(m + n) % std::size(inner)], columns[n]};
                c.activation = n % 3 == 1 ? Activation::quick_gelu : Activation::none;
                c.accumulate = n % 3 == 2;
                c.once = true;
                check_linear(backend, numerics, c, numerics.compute);
            }
    });
}

TEST_CASE("simt: linear: every tile of the own product gives it, whole and split") {
    // 6 whole steps of 32 and a piece; x by 16, 8 and 2 bytes; y by 16 and 2 bytes
    struct Extents {
        int in, out;
    };
    for (const Extents& extents : {Extents{200, 200}, {204, 100}, {201, 97}}) {
        if (!kEverySize && extents.out == 200)
            continue;
        for (int tile = 0; tile < static_cast<int>(cuda::kGemmTiles.size()); ++tile)
            for (int splits : {1, 3, 7})
                for (bool accumulate : {false, true}) {
                    if (!kEverySize && splits == 7) // as 3, for threads
                        continue;
                    LinearCase c{1, 130, extents.in, extents.out};
                    c.accumulate = accumulate;
                    c.activation = accumulate ? Activation::none : Activation::gelu;
                    const cuda::GemmChoice choice{false, {tile, splits}};
                    const cuda::GemmShape shape{130, c.out, c.in, c.activation, c.accumulate};
                    const auto backend = with_table({{75, "none", shape, choice, {{choice, 1}}}});
                    c.kernel = std::string("own ") + cuda::kGemmTiles[tile].name +
                               (splits > 1 ? " split-K " + std::to_string(splits) : "") +
                               " (measured)";
                    c.once = !(splits == 3 && extents.out == 97); // enough to see another order
                    check_linear(*backend, backend->numerics("auto"), c, DType::f16);
                }
    }
}

TEST_CASE("simt: linear: every tile reaches shared memory without bank conflicts") {
#if defined(__SANITIZE_THREAD__)
    MESSAGE("skipped: the emulator does not count under ThreadSanitizer");
#else
    simt::config().count_banks = true;
    (void)simt::take_bank_stats();
    for (int tile = 0; tile < static_cast<int>(cuda::kGemmTiles.size()); ++tile)
        for (int in : {96, 92, 95}) {
            const cuda::GemmChoice choice{false, {tile, 1}};
            const cuda::GemmShape shape{130, 100, in, Activation::none, false};
            const auto backend = with_table({{75, "none", shape, choice, {{choice, 1}}}});
            LinearCase c{1, 130, in, 100};
            c.once = true;
            check_linear(*backend, backend->numerics("auto"), c, DType::f16);
            const simt::BankStats stats = simt::take_bank_stats();
            INFO(cuda::kGemmTiles[tile].name << ", in " << in);
            CHECK(stats.accesses > 0);
            CHECK(stats.extra_wavefronts == 0);
        }
    simt::config().count_banks = false;
#endif
}

TEST_CASE("linear: applies each activation") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (Activation activation :
             {Activation::quick_gelu, Activation::gelu, Activation::gelu_tanh, Activation::relu})
            for (int in : {3, 24, 64})
                check_linear(backend, numerics, {2, 13, in, 40, activation}, numerics.compute);
    });
}

TEST_CASE("linear: adds to what is there when accumulating") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (int in : {5, 64, 768, 3072}) {
            LinearCase c{2, 25, in, 72};
            c.accumulate = true;
            check_linear(backend, numerics, c, numerics.residual);
        }
        LinearCase without_bias{3, 4, 32, 24};
        without_bias.accumulate = true;
        without_bias.bias = false;
        check_linear(backend, numerics, without_bias, numerics.residual);
    });
}

// Sums of eighths up to 3e4 are exact in fp32, so all that may be lost is the one rounding of y. An
// outlier of 3e4 has steps of 16 in fp16: a second rounding would show beside it.
TEST_CASE("linear: adds to outliers with one rounding") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (int out : {72, 71}) {
            LinearCase c{2, 33, 768, out};
            c.accumulate = true;
            c.extra = {2e3F, 3e4F, -2e3F, -3e4F, 6e4F};
            check_linear(backend, numerics, c, numerics.residual);
        }
    });
}

// Values with all the digits of fp16. Each of `in` additions rounds a partial sum, at most the sum
// of magnitudes, by 2^-24 of it (tensor cores may cut off instead: 2^-23); products are exact.
TEST_CASE("linear: sums in fp32") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        const int rows = 20, in = 3072, out = 24;
        const auto narrow = [&](std::vector<float> values) {
            for (float& value : values)
                value /= 8; // steps of 1/4096 within 1/4
            return decode(encode(values, numerics.compute), numerics.compute);
        };
        const auto fine = [&](size_t count, uint32_t seed) {
            auto values = random_eighths(count, 128, seed);
            for (float& value : values)
                value /= 64;
            return narrow(values);
        };
        const auto x = fine(static_cast<size_t>(rows) * in, 1);
        const auto w = fine(static_cast<size_t>(out) * in, 2);
        LinearDesc desc;
        desc.rows = rows;
        desc.in = in;
        desc.out = out;
        desc.x = desc.y = numerics.compute;
        desc.batches = {1};
        const auto op = backend.linear(desc, {{HostTensor(DType::f32, {out, in}, w).view()}, {}});
        const DeviceTensor input(backend, desc.x, {1, rows, in}, x);
        const auto y =
            run_once(backend, op->scratch_bytes(), {{desc.y, {1, rows, out}}},
                     [&](const std::vector<View>& y_out, Scratch scratch, StreamRef stream) {
                         (*op)(input.view(), y_out[0], scratch, stream);
                     });
        const auto reference = linear(x, w, {}, in, out, Activation::none);
        std::vector<float> absolute_x = x, absolute_w = w;
        for (float& value : absolute_x)
            value = std::abs(value);
        for (float& value : absolute_w)
            value = std::abs(value);
        auto tolerance = linear(absolute_x, absolute_w, {}, in, out, Activation::none);
        for (size_t i = 0; i < tolerance.size(); ++i)
            tolerance[i] = tolerance[i] * in * 0x1p-23 + rounding(desc.y, reference[i]);
        check_close(y[0], reference, tolerance);
    });
}

TEST_CASE("linear: has no bias when none is given") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (int in : {3, 48}) {
            LinearCase c{2, 10, in, 56};
            c.bias = false;
            check_linear(backend, numerics, c, numerics.compute);
        }
    });
}

TEST_CASE("linear: takes weights in parts and in each dtype of files") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (DType dtype : {DType::f32, DType::f16, DType::bf16}) {
            LinearCase c{2, 9, 40, 72};
            c.weights = dtype;
            check_linear(backend, numerics, c, numerics.compute);
            c.parts = {24, 24, 24};
            check_linear(backend, numerics, c, numerics.compute);
            c.parts = {5, 60, 7};
            check_linear(backend, numerics, c, numerics.compute);
        }
    });
}

TEST_CASE("linear: takes a convolution weight as its rows") {
    on_each_backend([](Backend& backend) {
        const auto w = random_eighths(8 * 12, 1, 5), x = random_eighths(12, 1, 6);
        const DType dtype = backend.numerics("auto").compute;
        LinearDesc desc;
        desc.in = 12;
        desc.out = 8;
        desc.x = desc.y = dtype;
        desc.batches = {1};
        const auto op =
            backend.linear(desc, {{HostTensor(DType::f32, {8, 3, 2, 2}, w).view()}, {}});
        const DeviceTensor input(backend, dtype, {1, 12}, x);
        // rows == 1: rank 2 is taken for x and y
        const auto y =
            run_every_way(backend, op->scratch_bytes(), {{dtype, {1, 8}}},
                          [&](const std::vector<View>& out, Scratch scratch, StreamRef stream) {
                              (*op)(input.view(), out[0], scratch, stream);
                          });
        // 12 products of eighths below 1: exact in fp16 too
        check_close(y[0], linear(x, w, {}, 12, 8, Activation::none), std::vector<double>(8, 0));
    });
}

TEST_CASE("linear: keeps a row of NaN to itself") {
    on_each_backend([](Backend& backend) {
        const DType dtype = backend.numerics("auto").compute;
        // row 64 begins a tile; 129 is the last, which kernels may read in place of those beyond
        const int batch = 2, rows = 65, in = 40, out = 24;
        auto x = random_eighths(static_cast<size_t>(batch) * rows * in, 1, 7);
        const auto w = random_eighths(static_cast<size_t>(in) * out, 1, 8);
        const auto holds_nan = [](size_t row) { return row == 3 || row == 64 || row == 129; };
        for (size_t row = 0; row < static_cast<size_t>(batch) * rows; ++row)
            if (holds_nan(row))
                x[row * in + row % in] = NAN;
        LinearDesc desc;
        desc.rows = rows;
        desc.in = in;
        desc.out = out;
        desc.x = desc.y = dtype;
        desc.batches = {batch};
        const auto op = backend.linear(desc, {{HostTensor(DType::f32, {out, in}, w).view()}, {}});
        const DeviceTensor input(backend, dtype, {batch, rows, in}, x);
        const auto y =
            run_every_way(backend, op->scratch_bytes(), {{dtype, {batch, rows, out}}},
                          [&](const std::vector<View>& y_out, Scratch scratch, StreamRef stream) {
                              (*op)(input.view(), y_out[0], scratch, stream);
                          });
        for (size_t i = 0; i < y[0].size(); ++i)
            CHECK(std::isnan(y[0][i]) == holds_nan(i / out));
    });
}

#include <cmath>

#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/kernels/reference.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

struct Case {
    int batch, rows, in, out;
    Activation activation = Activation::none;
    bool accumulate = false, bias = true;
    DType weights = DType::f32;
    std::vector<int> parts = {}; // rows of the weight's parts; empty: one part
};

std::vector<float> slice(const std::vector<float>& values, size_t first, size_t count) {
    return {values.begin() + first, values.begin() + first + count};
}

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

// Inputs are multiples of 1/8 within 1, so every partial sum is exact in fp32 (below 2^18 steps of
// 1/64 for up to 4096 terms): whatever the order of additions, a product without an activation must
// equal the reference, up to the one rounding of a narrower y.
void check(Backend& backend, Numerics numerics, const Case& c, DType y_dtype) {
    INFO("batch " << c.batch << ", rows " << c.rows << ", in " << c.in << ", out " << c.out
                  << ", activation " << static_cast<int>(c.activation) << ", accumulate "
                  << c.accumulate << ", bias " << c.bias << ", y " << name(y_dtype));
    const size_t rows = static_cast<size_t>(c.batch) * c.rows;
    const auto x = random_eighths(rows * c.in, 1, 1);
    const auto w = random_eighths(static_cast<size_t>(c.out) * c.in, 1, 2);
    const auto bias = c.bias ? random_eighths(c.out, 4, 3) : std::vector<float>();
    const auto before = c.accumulate ? random_eighths(rows * c.out, 8, 4) : std::vector<float>();

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
    const auto y =
        run_every_way(backend, op->scratch_bytes(), {{y_dtype, {c.batch, c.rows, c.out}, before}},
                      [&](const std::vector<View>& out, Scratch scratch, StreamRef stream) {
                          (*op)(input.view(), out[0], scratch, stream);
                      });
    auto reference = linear(x, w, bias, c.in, c.out, c.activation);
    for (size_t i = 0; i < before.size(); ++i)
        reference[i] += before[i];
    std::vector<double> tolerance;
    for (double value : reference) {
        // fp32: nothing to round without an activation. Else exp, erf and tanh as polynomials: a
        // few units of fp32 in the factor of x, and an absolute 2e-7 of erf's formula; |x| is at
        // most 8 times |y| where y is not nearly 0, and y nearly 0 is far below 1e-5.
        double bound = y_dtype == DType::f32 ? 0 : rounding(y_dtype, value);
        if (c.activation != Activation::none && c.activation != Activation::relu)
            bound += 1e-5 + 4e-6 * std::abs(value);
        tolerance.push_back(bound);
    }
    check_close(y[0], reference, tolerance);
    CHECK(op->weight_bytes() >= w.size() * size_bytes(desc.x));
    CHECK_FALSE(op->kernel(c.batch).empty());
}

} // namespace

TEST_CASE("linear: equals the reference at small, odd and model shapes") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        const Case cases[] = {
            {1, 1, 1, 1},     {1, 1, 3, 5},     {2, 3, 7, 9},      {1, 7, 8, 8},
            {3, 1, 16, 31},   {2, 5, 33, 17},   {1, 50, 64, 96},   {4, 17, 65, 63},
            {1, 49, 192, 64}, {2, 50, 768, 40}, {1, 50, 768, 768}, {2, 50, 3072, 128},
        };
        for (const Case& c : cases) {
            check(backend, numerics, c, DType::f32);
            check(backend, numerics, c, numerics.compute);
        }
    });
}

TEST_CASE("linear: applies each activation") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (Activation activation :
             {Activation::quick_gelu, Activation::gelu, Activation::gelu_tanh, Activation::relu})
            for (int in : {3, 24, 64})
                check(backend, numerics, {2, 13, in, 40, activation}, numerics.compute);
    });
}

TEST_CASE("linear: adds to what is there when accumulating") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (int in : {5, 64, 768, 3072}) {
            Case c{2, 25, in, 72};
            c.accumulate = true;
            check(backend, numerics, c, numerics.residual);
        }
        Case without_bias{3, 4, 32, 24};
        without_bias.accumulate = true;
        without_bias.bias = false;
        check(backend, numerics, without_bias, numerics.residual);
    });
}

TEST_CASE("linear: has no bias when none is given") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (int in : {3, 48}) {
            Case c{2, 10, in, 56};
            c.bias = false;
            check(backend, numerics, c, numerics.compute);
        }
    });
}

TEST_CASE("linear: takes weights in parts and in each dtype of files") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        for (DType dtype : {DType::f32, DType::f16, DType::bf16}) {
            Case c{2, 9, 40, 72};
            c.weights = dtype;
            check(backend, numerics, c, numerics.compute);
            c.parts = {24, 24, 24};
            check(backend, numerics, c, numerics.compute);
            c.parts = {5, 60, 7};
            check(backend, numerics, c, numerics.compute);
        }
    });
}

TEST_CASE("linear: takes a convolution weight as its rows") {
    on_each_backend([](Backend& backend) {
        const auto w = random_eighths(8 * 12, 1, 5), x = random_eighths(12, 1, 6);
        LinearDesc desc;
        desc.in = 12;
        desc.out = 8;
        desc.batches = {1};
        const auto op =
            backend.linear(desc, {{HostTensor(DType::f32, {8, 3, 2, 2}, w).view()}, {}});
        const DeviceTensor input(backend, DType::f32, {1, 12}, x);
        // rows == 1: rank 2 is taken for x and y
        const auto y =
            run_every_way(backend, op->scratch_bytes(), {{DType::f32, {1, 8}}},
                          [&](const std::vector<View>& out, Scratch scratch, StreamRef stream) {
                              (*op)(input.view(), out[0], scratch, stream);
                          });
        check_close(y[0], linear(x, w, {}, 12, 8, Activation::none), std::vector<double>(8, 0));
    });
}

TEST_CASE("linear: keeps a row of NaN to itself") {
    on_each_backend([](Backend& backend) {
        const int batch = 3, rows = 5, in = 40, out = 24;
        auto x = random_eighths(static_cast<size_t>(batch) * rows * in, 1, 7);
        const auto w = random_eighths(static_cast<size_t>(in) * out, 1, 8);
        x[(1 * rows + 2) * in + 3] = NAN;
        LinearDesc desc;
        desc.rows = rows;
        desc.in = in;
        desc.out = out;
        desc.batches = {batch};
        const auto op = backend.linear(desc, {{HostTensor(DType::f32, {out, in}, w).view()}, {}});
        const DeviceTensor input(backend, DType::f32, {batch, rows, in}, x);
        const auto y =
            run_every_way(backend, op->scratch_bytes(), {{DType::f32, {batch, rows, out}}},
                          [&](const std::vector<View>& y_out, Scratch scratch, StreamRef stream) {
                              (*op)(input.view(), y_out[0], scratch, stream);
                          });
        for (size_t i = 0; i < y[0].size(); ++i)
            CHECK(std::isnan(y[0][i]) == (i / out == 1 * rows + 2));
    });
}

TEST_CASE("linear: refuses what does not fit, by name, and writes nothing") {
    on_each_backend([](Backend& backend) {
        LinearDesc desc;
        desc.rows = 4;
        desc.in = 16;
        desc.out = 8;
        desc.batches = {1, 2, 8};
        const HostTensor w(DType::f32, {8, 16}, random_eighths(8 * 16, 1, 1));
        const HostTensor bias(DType::f32, {8}, random_eighths(8, 1, 2));
        const auto op = backend.linear(desc, {{w.view()}, {bias.view()}});
        const DeviceTensor x(backend, DType::f32, {2, 4, 16}, random_eighths(2 * 4 * 16, 1, 3));
        const DeviceTensor y(backend, DType::f32, {2, 4, 8});
        const DeviceMemory memory = make_device_memory(backend, op->scratch_bytes());
        const Scratch scratch{memory.get(), op->scratch_bytes()};
        const Stream stream(backend);
        const auto untouched = y.bytes();
        const auto refused = [&](const View& x_view, const View& y_view, Scratch given) {
            return error_of(ErrorCode::invalid_argument,
                            [&] { (*op)(x_view, y_view, given, stream); });
        };

        std::string message =
            refused(View(x.view().data, DType::f32, {3, 4, 16}), y.view(), scratch);
        CHECK(contains(message, "batch 3 was not planned"));
        CHECK(contains(message, "1, 2, 8"));
        message = refused(View(x.view().data, DType::bf16, {2, 4, 16}), y.view(), scratch);
        CHECK(contains(message, "x is (2, 4, 16) bf16, must be (2, 4, 16) fp32"));
        message = refused(View(x.view().data, DType::f32, {2, 4, 15}), y.view(), scratch);
        CHECK(contains(message, "x is (2, 4, 15) fp32"));
        message = refused(View(x.view().data, DType::f32, {2, 64}), y.view(), scratch);
        CHECK(contains(message, "x is (2, 64) fp32"));
        message = refused(x.view(), View(y.view().data, DType::f32, {1, 4, 8}), scratch);
        CHECK(contains(message, "y is (1, 4, 8) fp32"));
        message = refused(x.view(), View(nullptr, DType::f32, {2, 4, 8}), scratch);
        CHECK(contains(message, "y has no data"));
        message = refused(View(), y.view(), scratch);
        CHECK(contains(message, "batch 0 was not planned"));
        if (scratch.bytes > 0) {
            message = refused(x.view(), y.view(), {scratch.data, scratch.bytes - 1});
            CHECK(contains(message, std::to_string(scratch.bytes - 1)));
        }
        backend.synchronize(StreamRef(stream));
        CHECK(y.bytes() == untouched);
        CHECK(contains(error_of(ErrorCode::invalid_argument, [&] { (void)op->kernel(5); }), "5"));
    });
}

TEST_CASE("linear: refuses weights and descriptions that contradict each other") {
    on_each_backend([](Backend& backend) {
        LinearDesc desc;
        desc.rows = 4;
        desc.in = 16;
        desc.out = 8;
        desc.batches = {1};
        const auto values = random_eighths(8 * 17, 1, 1);
        const HostTensor w(DType::f32, {8, 16}, slice(values, 0, 8 * 16));
        const HostTensor bias(DType::f32, {8}, slice(values, 0, 8));
        const auto refused = [&](const LinearDesc& wanted, const LinearWeights& weights) {
            return error_of(ErrorCode::invalid_argument,
                            [&] { (void)backend.linear(wanted, weights); });
        };
        const HostTensor wide(DType::f32, {8, 17}, values);
        CHECK(contains(refused(desc, {{wide.view()}, {}}), "(8, 17)"));
        CHECK(contains(refused(desc, {{w.view().first(7)}, {}}), "7 rows, must have 8"));
        CHECK(contains(refused(desc, {{w.view()}, {bias.view().first(7)}}), "(7)"));
        CHECK(contains(refused(desc, {{w.view()}, {bias.view(), bias.view()}}), "2 parts"));
        CHECK(contains(refused(desc, {{}, {}}), "no weight"));
        const HostTensor integers(DType::i32, {8, 16}, slice(values, 0, 8 * 16));
        CHECK(contains(refused(desc, {{integers.view()}, {}}), "int32"));
        LinearDesc both = desc;
        both.accumulate = true;
        both.activation = Activation::gelu;
        CHECK(contains(refused(both, {{w.view()}, {}}), "accumulated"));
        LinearDesc empty = desc;
        empty.batches = {};
        CHECK(contains(refused(empty, {{w.view()}, {}}), "no batch sizes"));
        empty.batches = {0, 4};
        CHECK(contains(refused(empty, {{w.view()}, {}}), "batch size is 0"));
    });
}

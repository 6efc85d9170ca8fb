// What linear ops refuse, and how they say it.
#include <cmath>

#include "kernels/cuda/gemm_table.h"
#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

TEST_CASE("linear: refuses what does not fit, by name, and writes nothing") {
    on_each_backend([](Backend& backend) {
        const DType dtype = backend.numerics("auto").compute;
        const std::string word(name(dtype));
        LinearDesc desc;
        desc.rows = 4;
        desc.in = 16;
        desc.out = 8;
        desc.x = desc.y = dtype;
        desc.batches = {1, 2, 8};
        const HostTensor w(DType::f32, {8, 16}, random_eighths(8 * 16, 1, 1));
        const HostTensor bias(DType::f32, {8}, random_eighths(8, 1, 2));
        const auto op = backend.linear(desc, {{w.view()}, {bias.view()}});
        const DeviceTensor x(backend, dtype, {2, 4, 16}, random_eighths(2 * 4 * 16, 1, 3));
        const DeviceTensor y(backend, dtype, {2, 4, 8});
        const DeviceMemory memory = make_device_memory(backend, op->scratch_bytes());
        const Scratch scratch{memory.get(), op->scratch_bytes()};
        const Stream stream(backend);
        const auto untouched = y.bytes();
        const auto refused = [&](const View& x_view, const View& y_view, Scratch given) {
            return error_of(ErrorCode::invalid_argument,
                            [&] { (*op)(x_view, y_view, given, stream); });
        };

        std::string message = refused(View(x.view().data, dtype, {3, 4, 16}), y.view(), scratch);
        CHECK(contains(message, "batch 3 was not planned"));
        CHECK(contains(message, "1, 2, 8"));
        message = refused(View(x.view().data, DType::i32, {2, 4, 16}), y.view(), scratch);
        CHECK(contains(message, "x is (2, 4, 16) int32, must be (2, 4, 16) " + word));
        message = refused(View(x.view().data, dtype, {2, 4, 15}), y.view(), scratch);
        CHECK(contains(message, "x is (2, 4, 15) " + word));
        message = refused(View(x.view().data, dtype, {2, 64}), y.view(), scratch);
        CHECK(contains(message, "x is (2, 64) " + word));
        message = refused(x.view(), View(y.view().data, dtype, {1, 4, 8}), scratch);
        CHECK(contains(message, "y is (1, 4, 8) " + word));
        message = refused(x.view(), View(nullptr, dtype, {2, 4, 8}), scratch);
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
        desc.x = desc.y = backend.numerics("auto").compute;
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

TEST_CASE("simt: linear: on CUDA refuses what its kernels cannot take, by name") {
    const auto backend = cuda::make_backend({});
    LinearDesc desc;
    desc.rows = 4;
    desc.in = 16;
    desc.out = 16;
    desc.x = desc.y = DType::f16;
    desc.batches = {1};
    auto values = random_eighths(16 * 16, 1, 1);
    const auto made = [&](const LinearDesc& wanted) {
        return backend->linear(wanted, {{HostTensor(DType::f32, {16, 16}, values).view()}, {}});
    };
    const auto op = made(desc);
    const DeviceTensor memory(*backend, DType::f16, {2, 4, 16}, random_eighths(2 * 4 * 16, 1, 2));
    const auto untouched = memory.bytes();
    const Stream stream(*backend);
    char* const data = memory.view().as<char>();
    const auto at = [&](size_t bytes) { return View(data + bytes, DType::f16, {1, 4, 16}); };
    const auto refused = [&](const View& x, const View& y) {
        return error_of(ErrorCode::invalid_argument, [&] { (*op)(x, y, {}, stream); });
    };
    CHECK(contains(refused(at(2), at(128)), "x is not 16-byte aligned"));
    CHECK(contains(refused(at(0), at(136)), "y is not 16-byte aligned"));
    CHECK(contains(refused(at(0), at(0)), "x overlaps y"));
    CHECK(contains(refused(at(0), at(112)), "x overlaps y"));
    CHECK(contains(refused(at(112), at(0)), "x overlaps y"));
    backend->synchronize(StreamRef(stream));
    CHECK(memory.bytes() == untouched);

    LinearDesc wide = desc;
    wide.y = DType::f32;
    CHECK(contains(error_of(ErrorCode::invalid_argument, [&] { (void)made(wide); }),
                   "y is fp32, must be fp16"));
    wide = desc;
    wide.x = DType::bf16;
    CHECK(contains(error_of(ErrorCode::invalid_argument, [&] { (void)made(wide); }),
                   "x is bf16, must be fp16"));
    values[77] = 65520; // the first that rounds to infinity
    const std::string message = error_of(ErrorCode::model, [&] { (void)made(desc); });
    CHECK(contains(message, "weight holds 65520"));
}

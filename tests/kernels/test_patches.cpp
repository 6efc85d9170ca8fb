#include <string>

#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

PatchesDesc patches_desc(int height, int width, int patch, DType out, std::vector<int> batches) {
    PatchesDesc desc;
    desc.height = height;
    desc.width = width;
    desc.patch = patch;
    desc.out = out;
    desc.batches = std::move(batches);
    for (int channel = 0; channel < 3; ++channel)
        for (int value = 0; value < 256; ++value) // not linear: a lookup, and one per channel
            desc.table[channel][value] =
                static_cast<float>((value * value) % 97 - 40 * channel) / 7;
    return desc;
}

DeviceTensor upload(Backend& backend, const std::vector<uint8_t>& bytes,
                    const std::vector<int>& extents) {
    return {backend, DType::u8, extents, std::vector<float>(bytes.begin(), bytes.end())};
}

// y[i][patch][channel][row][column], with the position in the photo spelled out.
std::vector<float> expected(const PatchesDesc& desc, const std::vector<uint8_t>& slots,
                            const std::vector<int>& index) {
    const int count = static_cast<int>(slots.size()) / (desc.height * desc.width * 3);
    std::vector<float> y;
    for (int slot : index)
        for (int top = 0; top < desc.height; top += desc.patch)
            for (int left = 0; left < desc.width; left += desc.patch)
                for (int channel = 0; channel < 3; ++channel)
                    for (int row = top; row < top + desc.patch; ++row)
                        for (int column = left; column < left + desc.patch; ++column) {
                            const bool valid = slot >= 0 && slot < count;
                            const size_t pixel =
                                (static_cast<size_t>(valid ? slot : 0) * desc.height + row) *
                                    desc.width +
                                column;
                            y.push_back(valid ? desc.table[channel][slots[pixel * 3 + channel]]
                                              : 0.0F);
                        }
    return y;
}

void check_patches(Backend& backend, const PatchesDesc& desc, int slots,
                   const std::vector<int>& index) {
    INFO(desc.height << "x" << desc.width << " in patches of " << desc.patch << ", " << slots
                     << " slots, out " << name(desc.out));
    const int batch = static_cast<int>(index.size());
    const auto pixels = random_bytes(static_cast<size_t>(slots) * desc.height * desc.width * 3, 1);
    const DeviceTensor photos = upload(backend, pixels, {slots, desc.height, desc.width, 3});
    const DeviceTensor picks(backend, DType::i32, {batch},
                             std::vector<float>(index.begin(), index.end()));
    const auto op = backend.patches(desc);
    const int rows = (desc.height / desc.patch) * (desc.width / desc.patch);
    const auto y = run_every_way(backend, op->scratch_bytes(),
                                 {{desc.out, {batch, rows, 3 * desc.patch * desc.patch}}},
                                 [&](const std::vector<View>& out, Scratch, StreamRef stream) {
                                     (*op)(photos.view(), picks.view(), out[0], stream);
                                 });
    // One rounding, the same as the reference's: equal.
    CHECK(y[0] == decode(encode(expected(desc, pixels, index), desc.out), desc.out));
}

} // namespace

TEST_CASE("patches: cuts, normalizes and orders as a convolution weight does") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        const auto desc = [&](int height, int width, int patch, std::vector<int> batches) {
            return patches_desc(height, width, patch, numerics.compute, std::move(batches));
        };
        check_patches(backend, desc(1, 1, 1, {1}), 1, {0});
        check_patches(backend, desc(6, 9, 3, {2}), 3, {2, 0});
        check_patches(backend, desc(10, 4, 2, {1, 5}), 2, {1, 1, 0, 1, 0});
        check_patches(backend, desc(28, 28, 7, {1, 2, 3}), 4, {3, 0, 2});
        check_patches(backend, desc(224, 224, 32, {2}), 2, {1, 0});
        check_patches(backend, desc(224, 224, 14, {1}), 1, {0});
    });
}

TEST_CASE("patches: every size of a patch, at every alignment of its rows") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        struct Shape {
            int height, width, patch;
        };
        const Shape shapes[] = {
            {64, 224, 32},   // 7 patches in groups of 4 and 3
            {32, 96, 32},    //
            {64, 96, 16},    //
            {16, 16, 16},    // one patch
            {28, 56, 14},    // rows of 28 bytes of fp16, of 168 bytes of the photo
            {14, 518, 14},   // rows of 1554 bytes: no two have the same alignment
            {28, 14, 14},    //
            {16, 40, 8},     //
            {12, 20, 4},     //
            {4, 1000, 4},    // many patches in a row
            {9, 15, 3},      //
            {5, 5, 5},       //
            {14, 91, 7},     // photos of 3822 bytes, rows of 273
            {26, 39, 13},    //
            {33, 99, 33},    //
            {3, 7, 1},       //
            {124, 124, 124}, // a patch is the photo, near the end of shared memory
            {130, 130, 130}, // and beyond it
        };
        for (const Shape& shape : shapes) {
            if (!kEverySize && shape.height * shape.width > 8000 && shape.patch < 124)
                continue;
            check_patches(
                backend,
                patches_desc(shape.height, shape.width, shape.patch, numerics.compute, {3}), 2,
                {1, -1, 0});
            // Enough photos for groups of several patches.
            if (kEverySize && shape.height * shape.width <= 3000)
                check_patches(
                    backend,
                    patches_desc(shape.height, shape.width, shape.patch, numerics.compute, {33}), 2,
                    std::vector<int>(33, 1));
        }
        check_patches(backend, patches_desc(32, 224, 32, numerics.compute, {41}), 1,
                      std::vector<int>(41, 0));
        check_patches(backend, patches_desc(14, 224, 14, numerics.compute, {81}), 1,
                      std::vector<int>(81, 0));
    });
}

TEST_CASE("patches: -1 and slots out of range give rows of zeros") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        check_patches(backend, patches_desc(8, 8, 4, numerics.compute, {5}), 2,
                      {0, -1, 2, 1, 2'000'000'000});
        check_patches(backend, patches_desc(8, 8, 4, numerics.compute, {2}), 1,
                      {-2'000'000'000, 0});
    });
}

TEST_CASE("patches: slots may begin at any address") {
    in_each_precision([](Backend& backend, Numerics numerics) {
        const PatchesDesc desc = patches_desc(16, 24, 8, numerics.compute, {2});
        const std::vector<int> index = {1, 0};
        const auto op = backend.patches(desc);
        const DeviceTensor picks(backend, DType::i32, {2}, {1, 0});
        for (int beyond : {0, 1, 2, 4, 8, 15}) {
            INFO("beyond a boundary: " << beyond);
            const auto pixels = random_bytes(2 * 16 * 24 * 3, 2);
            std::vector<uint8_t> moved(beyond, 255);
            moved.insert(moved.end(), pixels.begin(), pixels.end());
            const DeviceTensor memory = upload(backend, moved, {static_cast<int>(moved.size())});
            const View photos(memory.view().as<char>() + beyond, DType::u8, {2, 16, 24, 3});
            const auto y =
                run_every_way(backend, 0, {{desc.out, {2, 6, 192}}},
                              [&](const std::vector<View>& out, Scratch, StreamRef stream) {
                                  (*op)(photos, picks.view(), out[0], stream);
                              });
            CHECK(y[0] == decode(encode(expected(desc, pixels, index), desc.out), desc.out));
        }
    });
}

TEST_CASE("patches: refuses what does not fit, by name") {
    on_each_backend([](Backend& backend) {
        const DType dtype = backend.numerics("auto").compute;
        const auto op = backend.patches(patches_desc(8, 12, 4, dtype, {1, 2}));
        const DeviceTensor slots(backend, DType::u8, {3, 8, 12, 3});
        const DeviceTensor index(backend, DType::i32, {2});
        const DeviceTensor y(backend, dtype, {2, 6, 48});
        const Stream stream(backend);
        const auto refused = [&](const View& s, const View& i, const View& out) {
            return error_of(ErrorCode::invalid_argument, [&] { (*op)(s, i, out, stream); });
        };
        const View a = slots.view(), b = index.view(), c = y.view();
        CHECK(contains(refused(View(a.data, DType::u8, {3, 12, 8, 3}), b, c), "(3, 12, 8, 3)"));
        CHECK(contains(refused(View(a.data, DType::f32, {3, 8, 12, 3}), b, c), "fp32"));
        CHECK(contains(refused(a, b.first(1), c), "index is (1) int32"));
        CHECK(contains(refused(a, View(b.data, DType::u8, {2}), c), "uint8"));
        CHECK(contains(refused(a, b, View(c.data, dtype, {2, 6, 47})), "(2, 6, 47)"));
        CHECK(contains(refused(a, b, View(c.data, dtype, {4, 6, 48})), "batch 4"));
        CHECK(contains(refused(View(a.data, DType::u8, {0, 8, 12, 3}), b, c), "slot"));
        CHECK(contains(refused(a, View(nullptr, DType::i32, {2}), c), "index has no data"));
        CHECK(contains(error_of(ErrorCode::invalid_argument,
                                [&] { (void)backend.patches(patches_desc(8, 13, 4, dtype, {1})); }),
                       "8x13"));
        CHECK(
            contains(refused(View(nullptr, DType::u8, {3, 8, 12, 3}), b, c), "slots has no data"));
        CHECK(contains(refused(a, b, View(nullptr, dtype, {2, 6, 48})), "y has no data"));
        CHECK(contains(refused(View(a.data, DType::u8, {-3, 8, 12, 3}), b, c), "slot"));
        const auto contradicts = [&](int height, int width, int patch) {
            return error_of(ErrorCode::invalid_argument, [&] {
                (void)backend.patches(patches_desc(height, width, patch, dtype, {1}));
            });
        };
        CHECK(contains(contradicts(-8, 12, 4), "height is -8"));
        CHECK(contains(contradicts(8, 0, 4), "width is 0"));
        CHECK(contains(contradicts(8, 12, -4), "patch is -4"));
    });
}

TEST_CASE("patches: the CUDA backend refuses other addresses, an overlap and other dtypes") {
    on_each_backend([](Backend& backend) {
        if (backend.properties().kind == "cpu")
            return;
        const auto op = backend.patches(patches_desc(8, 12, 4, DType::f16, {2}));
        const DeviceTensor slots(backend, DType::u8, {8, 8, 12, 3});
        const DeviceTensor index(backend, DType::i32, {8});
        const DeviceTensor y(backend, DType::f16, {3, 6, 48});
        const Stream stream(backend);
        const auto at = [](const DeviceTensor& tensor, int bytes) {
            return tensor.view().as<char>() + bytes;
        };
        const auto refused = [&](void* a, void* b, void* c) {
            return error_of(ErrorCode::invalid_argument, [&] {
                (*op)(View(a, DType::u8, {2, 8, 12, 3}), View(b, DType::i32, {2}),
                      View(c, DType::f16, {2, 6, 48}), stream);
            });
        };
        CHECK(
            contains(refused(at(slots, 0), at(index, 2), at(y, 0)), "index is not 4-byte aligned"));
        CHECK(contains(refused(at(slots, 0), at(index, 0), at(y, 8)), "y is not 16-byte aligned"));
        CHECK(contains(refused(at(slots, 0), at(index, 0), at(slots, 512)), "slots overlaps y"));
        CHECK(contains(refused(at(slots, 0), at(y, 1148), at(y, 0)), "index overlaps y"));
        for (DType wrong : {DType::f32, DType::bf16})
            CHECK(contains(
                error_of(ErrorCode::device,
                         [&] { (void)backend.patches(patches_desc(8, 12, 4, wrong, {1})); }),
                "out is " + std::string(name(wrong))));
    });
}

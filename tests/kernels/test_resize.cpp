// `Resize` against loader/resize.h, which tests/loader holds against Pillow, and against Pillow's
// stored bytes themselves. No tolerance: it is the same integer arithmetic.
#include <algorithm>
#include <cstring>

#include "engine/resize_table.h"
#include "loader/resize.h"
#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/loader/test_resize_photos.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;
using loader::Resample;
using loader::ResizePlan;

namespace {

// Photos above this run in the plain build only: 12 megapixels take the emulator a second there,
// and 10 to 80 times as long under a sanitizer.
#if defined(__SANITIZE_THREAD__)
constexpr int64_t kMostPixels = 100'000;
#elif defined(__SANITIZE_ADDRESS__)
constexpr int64_t kMostPixels = 1'500'000;
#else
constexpr int64_t kMostPixels = 13'000'000;
#endif

struct Photo {
    ResizePlan plan;
    Resample resample = Resample::bicubic;
    std::vector<uint8_t> rgb;
    int padding = 0; // bytes between rows on the device
    int lead = 0;    // bytes before the first
};

Photo make_photo(const ResizePlan& plan, Resample resample, uint32_t seed) {
    return {plan, resample, pattern(plan.in_height, plan.in_width, seed),
            static_cast<int>(hashed(seed) % 9), static_cast<int>(hashed(seed + 99) % 7)};
}

ResizePlan whole(int in_height, int in_width, int out_height, int out_width) {
    ResizePlan plan;
    plan.in_height = in_height;
    plan.in_width = in_width;
    plan.out_height = plan.height = out_height;
    plan.out_width = plan.width = out_width;
    return plan;
}

/// What a launch is given, on the host: the photos' source rectangles, amid other bytes, and the
/// table. Photo i goes to slot 2 i + 1 of `slots`, and the others are to stay.
struct Launch {
    int count, slots, height, width;
    std::vector<uint8_t> source;
    std::vector<std::byte> table;

    explicit Launch(const std::vector<Photo>& photos)
        : count(static_cast<int>(photos.size())), slots(2 * count + 1),
          height(photos.front().plan.height), width(photos.front().plan.width) {
        std::vector<PlannedResize> planned;
        for (const Photo& photo : photos)
            planned.emplace_back(photo.plan, photo.resample);
        std::vector<ResizeEntry> entries;
        for (int i = 0; i < count; ++i) {
            const Photo& photo = photos[i];
            const PlannedResize& window = planned[i];
            source.resize(source.size() + photo.lead, 0xee);
            const int pitch = 3 * window.columns() + photo.padding;
            entries.push_back({&window, source.size(), pitch, 2 * i + 1});
            for (int row = 0; row < window.rows(); ++row) {
                const auto* begin = photo.rgb.data() +
                                    (static_cast<size_t>(window.top() + row) * photo.plan.in_width +
                                     window.left()) *
                                        3;
                source.insert(source.end(), begin, begin + window.columns() * 3);
                if (row + 1 < window.rows()) // nothing follows the last row
                    source.resize(source.size() + photo.padding, 0xee);
            }
        }
        source.resize(std::max<size_t>((source.size() + 3) / 4 * 4, 4), 0xee);
        table.resize(resize_table_bytes(entries));
        fill_resize_table(entries, {source.size(), slots, height, width}, table.data(),
                          table.size());
    }
};

/// Device memory of exactly these bytes: a sanitizer sees a read beyond them.
struct Upload {
    template <class T>
    Upload(Backend& backend, const std::vector<T>& x)
        : memory(make_device_memory(backend, x.size())), bytes(static_cast<int>(x.size())) {
        const PinnedMemory staging = make_pinned_memory(backend, x.size());
        std::memcpy(staging.get(), x.data(), x.size());
        const Stream stream(backend);
        backend.copy(memory.get(), staging.get(), x.size(), CopyKind::host_to_device, stream);
        backend.synchronize(StreamRef(stream));
    }
    View view() const { return {memory.get(), DType::u8, {bytes}}; }
    DeviceMemory memory;
    int bytes;
};

std::vector<uint8_t> slot_of(const std::vector<std::byte>& slots, int slot, size_t bytes) {
    const auto* begin = reinterpret_cast<const uint8_t*>(slots.data()) + slot * bytes;
    return {begin, begin + bytes};
}

/// The slots after one launch. Fails the test when a slot that no task names has changed.
std::vector<std::vector<uint8_t>> resize_on(Backend& backend, const std::vector<Photo>& photos) {
    const Launch launch(photos);
    const auto op = backend.resize({launch.height, launch.width, launch.count});
    const Upload source(backend, launch.source);
    const Upload table(backend, launch.table);
    const DeviceTensor y(backend, DType::u8, {launch.slots, launch.height, launch.width, 3});
    const Stream stream(backend);
    (*op)(source.view(), table.view(), launch.count, y.view(), stream);
    backend.synchronize(StreamRef(stream));
    const auto slots = y.bytes(); // and its guard bands
    const size_t bytes = static_cast<size_t>(launch.height) * launch.width * 3;
    std::vector<std::vector<uint8_t>> results;
    for (int i = 0; i < launch.slots; ++i) {
        const auto slot = slot_of(slots, i, bytes);
        if (i % 2 == 1)
            results.push_back(slot);
        else
            CHECK_MESSAGE(slot == std::vector<uint8_t>(bytes, 0xff), "slot " << i << " changed");
    }
    return results;
}

void check_resize(Backend& backend, const std::vector<Photo>& photos) {
    const auto results = resize_on(backend, photos);
    for (size_t i = 0; i < photos.size(); ++i) {
        const ResizePlan& plan = photos[i].plan;
        INFO("photo " << i << ": " << plan.in_height << "x" << plan.in_width << " to "
                      << plan.out_height << "x" << plan.out_width << ", window " << plan.height
                      << "x" << plan.width << " at " << plan.top << ", " << plan.left << ", filter "
                      << static_cast<int>(photos[i].resample)
                      << (vertical_pass_first(plan) ? ", vertical first" : ""));
        std::vector<uint8_t> expected(static_cast<size_t>(plan.height) * plan.width * 3, 0xa5);
        loader::resize(photos[i].rgb.data(), plan, photos[i].resample, expected.data());
        size_t wrong = 0;
        for (size_t k = 0; k < expected.size(); ++k)
            wrong += expected[k] != results[i][k];
        CHECK_MESSAGE(wrong == 0, wrong << " of " << expected.size() << " bytes differ");
    }
}

/// Runs `test` on each backend that has the op.
template <class Test>
void where_it_is(Test test) {
    on_each_backend([&](Backend& backend) {
        if (backend.properties().kind == "cpu")
            CHECK(backend.resize({32, 32, 1}) == nullptr);
        else
            test(backend);
    });
}

} // namespace

TEST_CASE("resize op: equals the host's resize on random windows, many photos in a launch") {
    where_it_is([](Backend& backend) {
        uint32_t state = 7;
        const auto draw = [&state](int low, int high) {
            state = state * 1664525u + 1013904223u;
            return low + static_cast<int>((state >> 8) % static_cast<uint32_t>(high - low + 1));
        };
        const Resample filters[] = {Resample::bicubic, Resample::bilinear, Resample::lanczos,
                                    Resample::box, Resample::hamming};
        int vertical = 0, horizontal = 0;
        // Slots of one pixel, odd, one below and above a tile of 16 x 32, several tiles.
        const int sizes[][2] = {{1, 1},   {7, 5},   {15, 31}, {16, 32},
                                {17, 33}, {32, 32}, {31, 64}, {56, 56}};
        for (const auto& size : sizes) {
            std::vector<Photo> photos;
            for (int i = 0; i < 12; ++i) {
                ResizePlan plan = whole(draw(1, 150), draw(1, 150), draw(1, 90), draw(1, 90));
                plan.height = size[0];
                plan.width = size[1];
                plan.top = draw(-plan.height - 1, plan.out_height + 1);
                plan.left = draw(-plan.width - 1, plan.out_width + 1);
                if (i % 3 != 0) { // inside, as far as it fits
                    plan.top = (plan.out_height - plan.height) / 2;
                    plan.left = (plan.out_width - plan.width) / 2;
                }
                if (i % 4 == 1)
                    plan.extent_width = plan.in_width - draw(0, 7) / 8.0;
                if (i % 4 >= 1)
                    plan.extent_height = i % 4 == 3 ? plan.in_height - draw(0, 7) / 8.0 : 0;
                (vertical_pass_first(plan) ? vertical : horizontal) += 1;
                photos.push_back(make_photo(plan, filters[i % 5], state));
            }
            check_resize(backend, photos);
        }
        CHECK(vertical >= 20);
        CHECK(horizontal >= 20);
    });
}

TEST_CASE("resize op: one pass, no pass, one pixel, narrow and wide photos") {
    where_it_is([](Backend& backend) {
        const auto photo = [](int in_height, int in_width, int out_height, int out_width, int top,
                              int left) {
            ResizePlan plan = whole(in_height, in_width, out_height, out_width);
            plan.height = 33;
            plan.width = 40;
            plan.top = top;
            plan.left = left;
            return make_photo(plan, Resample::bicubic, in_height * 31 + in_width);
        };
        check_resize(backend,
                     {
                         photo(33, 40, 33, 40, 0, 0),       // nothing changes
                         photo(90, 80, 90, 80, 20, 17),     // nor here, in a window
                         photo(33, 200, 33, 40, 0, 0),      // columns only
                         photo(200, 40, 33, 40, 0, 0),      // rows only
                         photo(1, 1, 33, 40, 0, 0),         // one pixel
                         photo(1, 1, 1, 1, -5, -6),         // one amid zeros
                         photo(1, 400, 33, 13200, 0, 6580), // the middle of a line
                         photo(400, 3, 4400, 33, 2183, -3), // a column, padded at both sides
                         photo(1, 400, 33, 40, 0, 0),       // a line, all of it
                         photo(400, 1, 33, 40, 0, 0),       // vertical pass first
                         photo(9, 11, 66, 80, 16, 20),      // upscaling
                         photo(20, 20, 20, 20, 25, 0),      // wholly outside
                     });
    });
}

// A row of a tile's span passes 64, 128, 256 and 512 groups of four pixels, which changes how the
// warps share the work, and then the chunk of shared memory.
TEST_CASE("resize op: spans on both sides of every split of the work") {
    where_it_is([](Backend& backend) {
        std::vector<Photo> photos;
        for (int groups : {63, 64, 65, 128, 129, 256, 257, 512, 513, 1100})
            for (int rows : {3, 40})
                photos.push_back(make_photo(whole(rows, groups * 4 - rows % 3, 20, 32),
                                            Resample::bicubic, groups + rows));
        for (int width : {250, 260, 700}) { // vertical pass first
            photos.push_back(make_photo(whole(2 * width, width, 20, 32), Resample::lanczos, width));
            REQUIRE(vertical_pass_first(photos.back().plan));
        }
        check_resize(backend, photos);
    });
}

TEST_CASE("resize op: black stays black, white stays white") {
    where_it_is([](Backend& backend) {
        std::vector<Photo> photos;
        for (int side : {1, 5, 31, 100})
            for (uint8_t value : {uint8_t{0}, uint8_t{255}}) {
                photos.push_back(make_photo(whole(side, 2 * side, 32, 32), Resample::lanczos, 1));
                photos.back().rgb.assign(photos.back().rgb.size(), value);
            }
        const auto results = resize_on(backend, photos);
        for (size_t i = 0; i < photos.size(); ++i)
            CHECK(results[i] == std::vector<uint8_t>(results[i].size(), photos[i].rgb.front()));
    });
}

TEST_CASE("resize op: equals Pillow's stored bytes") {
    const Goldens goldens;
    where_it_is([&](Backend& backend) {
        int compared = 0;
        const auto compare = [&](const nlohmann::json& golden, const Photo& photo) {
            CAPTURE(golden.dump());
            CHECK(goldens.difference(golden["y"], resize_on(backend, {photo}).front()) == "");
            ++compared;
        };
        for (const auto& golden : goldens.document["cases"]) {
            const int height = golden["height"], width = golden["width"];
            if (int64_t{height} * width > kMostPixels)
                continue;
            const auto preprocessor = preprocessor_of(golden);
            Photo photo =
                make_photo(plan_resize(preprocessor, height, width), preprocessor.resample, 1);
            photo.rgb = pattern(height, width, golden["seed"]);
            compare(golden, photo);
        }
        for (const auto& golden : goldens.document["boxes"]) {
            ResizePlan plan = whole(golden["height"], golden["width"], golden["y"]["height"],
                                    golden["y"]["width"]);
            plan.extent_height = golden["extent_height"];
            plan.extent_width = golden["extent_width"];
            Photo photo = make_photo(plan, static_cast<Resample>(golden["resample"].get<int>()), 1);
            photo.rgb = pattern(plan.in_height, plan.in_width, 7);
            compare(golden, photo);
        }
        CHECK(compared >= 30);
    });
}

TEST_CASE("resize op: gives the same bytes every way it is called") {
    where_it_is([](Backend& backend) {
        std::vector<Photo> photos;
        for (int i = 0; i < 3; ++i)
            photos.push_back(
                make_photo(whole(90 - 20 * i, 30 + 40 * i, 24, 40), Resample::bicubic, i));
        const Launch launch(photos);
        const auto op = backend.resize({24, 40, 8});
        CHECK(op->scratch_bytes() == 0);
        CHECK(contains(op->kernel(3), "dp4a"));
        const Upload source(backend, launch.source);
        const Upload table(backend, launch.table);
        const auto y = run_every_way(
            backend, 0,
            {{DType::u8,
              {launch.slots, 24, 40, 3},
              std::vector<float>(static_cast<size_t>(launch.slots) * 24 * 40 * 3, 77)}},
            [&](const std::vector<View>& slots, Scratch, StreamRef stream) {
                (*op)(source.view(), table.view(), launch.count, slots[0], stream);
            });
        for (int i = 0; i < 3; ++i) {
            std::vector<uint8_t> expected(24 * 40 * 3);
            loader::resize(photos[i].rgb.data(), photos[i].plan, Resample::bicubic,
                           expected.data());
            const auto begin = y[0].begin() + (2 * i + 1) * 24 * 40 * 3;
            CHECK(std::equal(expected.begin(), expected.end(), begin));
        }
    });
}

TEST_CASE("resize op: a slot out of range is passed over, no task does nothing") {
    where_it_is([](Backend& backend) {
        Launch launch({make_photo(whole(20, 20, 8, 8), Resample::bicubic, 1),
                       make_photo(whole(30, 20, 8, 8), Resample::bicubic, 2)});
        auto* tasks = reinterpret_cast<ResizeTask*>(launch.table.data());
        tasks[0].slot = launch.slots;
        tasks[1].slot = -1;
        const auto op = backend.resize({8, 8, 2});
        const Upload source(backend, launch.source);
        const Upload table(backend, launch.table);
        const DeviceTensor y(backend, DType::u8, {launch.slots, 8, 8, 3});
        const Stream stream(backend);
        (*op)(source.view(), table.view(), 2, y.view(), stream);
        (*op)(source.view(), table.view(), 0, y.view(), stream);
        backend.synchronize(StreamRef(stream));
        CHECK(y.bytes() == std::vector<std::byte>(y.view().bytes(), std::byte{0xff}));
    });
}

TEST_CASE("resize op: refuses what does not fit, by name") {
    where_it_is([](Backend& backend) {
        const auto op = backend.resize({8, 12, 4});
        const DeviceTensor source(backend, DType::u8, {64});
        const DeviceTensor table(backend, DType::u8, {300});
        const DeviceTensor slots(backend, DType::u8, {3, 8, 12, 3});
        const Stream stream(backend);
        const auto refused = [&](const View& x, const View& t, int count, const View& y) {
            return error_of(ErrorCode::invalid_argument, [&] { (*op)(x, t, count, y, stream); });
        };
        const View x = source.view(), t = table.view(), y = slots.view();
        const auto moved = [](const View& view, int bytes, int extent) {
            return View(view.as<std::byte>() + bytes, DType::u8, {extent});
        };
        CHECK(contains(refused(x, t, -1, y), "-1 tasks"));
        CHECK(contains(refused(x, t, 5, y), "5 tasks, must be 0 to 4"));
        CHECK(contains(refused(x, moved(t, 0, 143), 2, y), "table has 143 bytes"));
        CHECK(contains(refused(x, moved(t, 4, 280), 2, y), "table is not 8-byte aligned"));
        CHECK(contains(refused(x, View(nullptr, DType::u8, {300}), 2, y), "table has no data"));
        CHECK(contains(refused(x, View(t.data, DType::i32, {75}), 2, y), "table is (75) int32"));
        CHECK(contains(refused(View(nullptr, DType::u8, {64}), t, 2, y), "source has no data"));
        CHECK(contains(refused(moved(x, 2, 60), t, 2, y), "source is not 4-byte aligned"));
        CHECK(contains(refused(moved(x, 0, 63), t, 2, y), "source has 63 bytes"));
        CHECK(contains(refused(x, t, 2, View(y.data, DType::u8, {3, 12, 8, 3})), "(3, 12, 8, 3)"));
        CHECK(contains(refused(x, t, 2, View(y.data, DType::f16, {3, 8, 12, 3})), "fp16"));
        CHECK(contains(refused(x, t, 2, View(y.data, DType::u8, {0, 8, 12, 3})), "slots is 0"));
        const View last_slot(y.as<std::byte>() + 2 * 8 * 12 * 3, DType::u8, {64});
        CHECK(contains(refused(last_slot, t, 2, y), "slots overlaps source"));
        CHECK(contains(refused(x, moved(last_slot, 0, 280), 2, y), "slots overlaps table"));
        CHECK(contains(refused(x, t, 2, View(nullptr, DType::u8, {3, 8, 12, 3})), "no data"));

        const auto not_made = [&](const ResizeDesc& desc) {
            return error_of(ErrorCode::invalid_argument, [&] { (void)backend.resize(desc); });
        };
        CHECK(contains(not_made({0, 8, 1}), "height is 0"));
        CHECK(contains(not_made({8, -1, 1}), "width is -1"));
        CHECK(contains(not_made({8, 40000, 1}), "40000"));
        CHECK(contains(not_made({8, 8, 0}), "0 tasks"));
        CHECK(contains(not_made({8, 8, 65536}), "65536 tasks"));
    });
}

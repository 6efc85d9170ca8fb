#include <array>
#include <cstdlib>
#include <numeric>
#include <set>
#include <utility>

#include <doctest/doctest.h>
#include <yeoul/error.h>

#include "loader/preprocess.h"
#include "loader/row_resizer.h"
#include "tests/loader/test_resize_photos.h"

using namespace yeoul;
using namespace yeoul::loader;

namespace {

ResizePlan clip_plan(int height, int width) {
    return plan_resize(Preprocessor{}, height, width);
}

/// The whole photo through a given variant, the output between poisoned guards.
std::vector<uint8_t> resize_with(const ResizePasses& passes, const ResizePlan& plan,
                                 Resample resample, const std::vector<uint8_t>& photo) {
    constexpr size_t kGuard = 64;
    const size_t bytes = static_cast<size_t>(plan.height) * plan.width * 3;
    std::vector<uint8_t> guarded(bytes + 2 * kGuard, 0xa5);
    RowResizer resizer(plan, resample, guarded.data() + kGuard, passes);
    for (int row = resizer.top(); row < resizer.bottom(); ++row) {
        // An exact copy of what is asked for: a sanitizer sees every read beyond it.
        const auto* begin =
            photo.data() + (static_cast<size_t>(row) * plan.in_width + resizer.left()) * 3;
        const std::vector<uint8_t> asked(begin, begin + (resizer.right() - resizer.left()) * 3);
        resizer.row(row, asked.data());
    }
    CHECK(resizer.complete());
    for (size_t i = 0; i < kGuard; ++i)
        REQUIRE((guarded[i] == 0xa5 && guarded[kGuard + bytes + i] == 0xa5));
    return {guarded.begin() + kGuard, guarded.end() - kGuard};
}

} // namespace

TEST_CASE("resize: the test photos are those that Pillow saw") {
    const test::Goldens goldens;
    CHECK(test::fnv1a(test::pattern(37, 41, 5)) == goldens.document["pattern"].get<std::string>());
}

TEST_CASE("resize: equals Pillow and transformers' centre crop to the byte, in every variant") {
    const test::Goldens goldens;
    std::set<std::pair<int, int>> shapes;
    for (const auto& golden : goldens.document["cases"]) {
        const int height = golden["height"], width = golden["width"];
        shapes.emplace(height, width);
        const Preprocessor preprocessor = test::preprocessor_of(golden);
        const auto photo = test::pattern(height, width, golden["seed"]);
        const ResizePlan plan = plan_resize(preprocessor, height, width);
        CAPTURE(golden.dump());
        REQUIRE(plan.height == golden["y"]["height"].get<int>());
        REQUIRE(plan.width == golden["y"]["width"].get<int>());
        for (const ResizePasses& passes : resize_passes()) {
            CAPTURE(passes.name);
            const auto y = resize_with(passes, plan, preprocessor.resample, photo);
            CHECK(goldens.difference(golden["y"], y) == "");
        }
        std::vector<uint8_t> y(static_cast<size_t>(plan.height) * plan.width * 3, 0xa5);
        preprocess_pixels(photo.data(), height, width, preprocessor, y.data());
        CHECK(goldens.difference(golden["y"], y) == "");
    }
    REQUIRE(shapes.size() >= 30);
}

TEST_CASE("resize: an extent that ends inside a pixel equals Pillow's box") {
    const test::Goldens goldens;
    REQUIRE(goldens.document["boxes"].size() == 4);
    for (const auto& golden : goldens.document["boxes"]) {
        CAPTURE(golden.dump());
        ResizePlan plan;
        plan.in_height = golden["height"];
        plan.in_width = golden["width"];
        plan.out_height = plan.height = golden["y"]["height"];
        plan.out_width = plan.width = golden["y"]["width"];
        plan.extent_height = golden["extent_height"];
        plan.extent_width = golden["extent_width"];
        const auto photo = test::pattern(plan.in_height, plan.in_width, 7);
        for (const ResizePasses& passes : resize_passes())
            CHECK(goldens.difference(
                      golden["y"], resize_with(passes, plan,
                                               static_cast<Resample>(golden["resample"].get<int>()),
                                               photo)) == "");
    }
}

TEST_CASE("resize: Pillow 13's order of the passes") {
    const auto vertical_first = [](int in_height, int in_width, int out_height, int out_width) {
        ResizePlan plan;
        plan.in_height = in_height;
        plan.in_width = in_width;
        plan.out_height = out_height;
        plan.out_width = out_width;
        return vertical_pass_first(plan);
    };
    CHECK_FALSE(vertical_first(120, 120, 60, 90)); // loses exactly twice as much
    CHECK(vertical_first(121, 120, 60, 90));
    CHECK(vertical_first(90, 20, 40, 50));
    CHECK_FALSE(vertical_first(90, 20, 91, 10));
    CHECK_FALSE(vertical_first(90, 20, 40, 20)); // one pass only
    CHECK_FALSE(vertical_first(4032, 3024, 298, 224));
    CHECK(vertical_first(3000, 1000, 672, 224));
}

TEST_CASE("resize: the variants agree on random windows of random photos") {
    uint32_t state = 1;
    const auto draw = [&state](int low, int high) {
        state = state * 1664525u + 1013904223u;
        return low + static_cast<int>((state >> 8) % static_cast<uint32_t>(high - low + 1));
    };
    const Resample filters[] = {Resample::bicubic, Resample::bilinear, Resample::lanczos,
                                Resample::box, Resample::hamming};
    for (int round = 0; round < 150; ++round) {
        ResizePlan plan;
        plan.in_height = draw(1, 90);
        plan.in_width = draw(1, 90);
        plan.out_height = draw(1, 70);
        plan.out_width = draw(1, 70);
        plan.height = draw(1, 80);
        plan.width = draw(1, 80);
        plan.top = draw(-plan.height - 2, plan.out_height + 2);
        plan.left = draw(-plan.width - 2, plan.out_width + 2);
        const Resample resample = filters[round % 5];
        const auto photo = test::pattern(plan.in_height, plan.in_width, round);
        const auto fastest = resize_with(resize_passes().front(), plan, resample, photo);
        CHECK(fastest == resize_with(resize_passes().back(), plan, resample, photo));

        // The window is that part of the whole output, and zero outside.
        ResizePlan whole = plan;
        whole.top = whole.left = 0;
        whole.height = plan.out_height;
        whole.width = plan.out_width;
        const auto all = resize_with(resize_passes().back(), whole, resample, photo);
        bool equal = true;
        for (int y = 0; y < plan.height; ++y)
            for (int x = 0; x < plan.width * 3; ++x) {
                const int row = y + plan.top, column = x + plan.left * 3;
                const bool inside =
                    row >= 0 && row < plan.out_height && column >= 0 && column < plan.out_width * 3;
                const int expected =
                    inside ? all[static_cast<size_t>(row) * plan.out_width * 3 + column] : 0;
                equal &= fastest[static_cast<size_t>(y) * plan.width * 3 + x] == expected;
            }
        CHECK(equal);
    }
}

TEST_CASE("resize: black stays black, white stays white, at every scale") {
    for (int side : {1, 2, 3, 31, 224, 225, 1000}) {
        for (uint8_t value : {uint8_t{0}, uint8_t{255}}) {
            const ResizePlan plan = clip_plan(side, side + 3);
            const std::vector<uint8_t> photo(static_cast<size_t>(side) * (side + 3) * 3, value);
            for (const ResizePasses& passes : resize_passes()) {
                const auto y = resize_with(passes, plan, Resample::bicubic, photo);
                CHECK(y == std::vector<uint8_t>(y.size(), value));
            }
        }
    }
}

TEST_CASE("resize window: weights sum to one, windows move forward, edges are inside") {
    for (Resample resample : {Resample::bicubic, Resample::bilinear, Resample::box,
                              Resample::hamming, Resample::lanczos})
        for (int in : {1, 2, 5, 63, 224, 225, 4032})
            for (int out : {1, 7, 63, 64, 224, 500}) {
                CAPTURE(in);
                CAPTURE(out);
                const ResizeWindow window = make_resize_window(in, out, 0, out, resample);
                REQUIRE(window.begin.size() == static_cast<size_t>(out));
                REQUIRE(window.weights.size() == static_cast<size_t>(out) * window.taps);
                CHECK(window.first_input == window.begin.front());
                CHECK(window.last_input == window.begin.back() + window.size.back());
                for (int i = 0; i < out; ++i) {
                    const int32_t* weights = window.weights.data() + i * window.taps;
                    REQUIRE(window.begin[i] >= 0);
                    REQUIRE(window.size[i] >= 1);
                    REQUIRE(window.size[i] <= window.taps);
                    REQUIRE(window.begin[i] + window.size[i] <= in);
                    if (i > 0) {
                        REQUIRE(window.begin[i] >= window.begin[i - 1]);
                        REQUIRE(window.begin[i] + window.size[i] >=
                                window.begin[i - 1] + window.size[i - 1]);
                    }
                    // Each weight is off by at most half a unit.
                    const int sum = std::accumulate(weights, weights + window.taps, 0);
                    REQUIRE(2 * std::abs(sum - (1 << 22)) <= window.size[i]);
                    for (int tap = window.size[i]; tap < window.taps; ++tap)
                        REQUIRE(weights[tap] == 0);
                }
            }
}

TEST_CASE("resize window: a part is that part of the whole") {
    const ResizeWindow whole = make_resize_window(1000, 300, 0, 300, Resample::bicubic);
    const ResizeWindow part = make_resize_window(1000, 300, 38, 224, Resample::bicubic);
    for (int i = 0; i < 224; ++i) {
        REQUIRE(part.begin[i] == whole.begin[i + 38]);
        REQUIRE(part.size[i] == whole.size[i + 38]);
        for (int tap = 0; tap < part.size[i]; ++tap)
            REQUIRE(part.weights[i * part.taps + tap] ==
                    whole.weights[(i + 38) * whole.taps + tap]);
    }
}

TEST_CASE("resize window: refuses what has no meaning") {
    CHECK_THROWS_WITH_AS(make_resize_window(0, 4, 0, 4, Resample::bicubic),
                         "a resize from 0 to 4 pixels, both must be at least 1", Error);
    CHECK_THROWS_AS(make_resize_window(4, 4, 2, 3, Resample::bicubic), Error);
    CHECK_THROWS_AS(make_resize_window(4, 4, -1, 3, Resample::bicubic), Error);
    CHECK_THROWS_AS(make_resize_window(4, 4, 0, 4, Resample::bicubic, 4.5), Error);
    CHECK_THROWS_WITH_AS(make_resize_window(4, 8, 0, 8, Resample::nearest),
                         doctest::Contains("resample is 0"), Error);
}

TEST_CASE("resize plan: the long side is truncated, the crop's offset rounds down") {
    const ResizePlan plan = clip_plan(427, 640);
    CHECK(plan.out_height == 224);
    CHECK(plan.out_width == 335); // 335.74
    CHECK(plan.left == 55);       // 55.5
    CHECK(plan.top == 0);

    Preprocessor larger;
    larger.crop_height = larger.crop_width = 229;
    CHECK(plan_resize(larger, 640, 427).left == -3); // -2.5
    CHECK(plan_resize(larger, 640, 427).top == 53);
}

TEST_CASE("resize plan: refuses sides whose result has no size") {
    const auto code = [](int height, int width) {
        try {
            clip_plan(height, width);
        } catch (const Error& error) {
            return error.code();
        }
        return ErrorCode::internal;
    };
    CHECK(code(1, 1 << 22) == ErrorCode::internal); // accepted
    CHECK(code(1, (1 << 22) + 1) == ErrorCode::image_too_large);
    CHECK(code(178'956'970, 1) == ErrorCode::image_too_large);
    CHECK(code(0, 5) == ErrorCode::invalid_argument);
    Preprocessor wide;
    wide.shortest_edge = 1024;
    CHECK_THROWS_WITH_AS(plan_resize(wide, 1, 1 << 22), doctest::Contains("too narrow"), Error);
}

TEST_CASE("resize: memory follows the crop, not the photo") {
    const auto memory = [](int height, int width) {
        std::vector<uint8_t> y(224 * 224 * 3);
        return RowResizer(clip_plan(height, width), Resample::bicubic, y.data()).memory_bytes();
    };
    // The whole resize of this one is 224 x 896000 pixels, 602 MB.
    CHECK(memory(1, 4000) < 100'000);
    CHECK(memory(4000, 1) < 100'000);
    // 12 megapixels: 55 rows of 224 pixels (37 kB), and twice 224 x 56 weights in two forms.
    CHECK(memory(3024, 4032) < 300'000);
    CHECK(memory(65500, 1) < 100'000);

    // Only the columns around the middle are asked for.
    std::vector<uint8_t> y(224 * 224 * 3);
    const RowResizer resizer(clip_plan(1, 4000), Resample::bicubic, y.data());
    CHECK(resizer.right() - resizer.left() <= 5);
    CHECK(resizer.left() >= 1996);
    CHECK(resizer.right() <= 2004);
}

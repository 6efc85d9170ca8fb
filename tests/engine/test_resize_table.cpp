// The table of a batched resize: its layout against the loader's windows, and what it refuses.
#include <cstring>

#include <doctest/doctest.h>

#include "engine/resize_table.h"
#include "loader/resize.h"
#include "tests/support/random.h"
#include "tests/support/text.h"

using namespace yeoul;
using namespace yeoul::test;
using loader::Resample;
using loader::ResizePlan;
using loader::ResizeWindow;

namespace {

ResizePlan plan_of(int in_height, int in_width, int out_height, int out_width) {
    ResizePlan plan;
    plan.in_height = in_height;
    plan.in_width = in_width;
    plan.out_height = plan.height = out_height;
    plan.out_width = plan.width = out_width;
    return plan;
}

/// A table as the device finds it.
struct Table {
    std::vector<uint64_t> memory; // for its alignment
    explicit Table(const std::vector<ResizeEntry>& entries, const ResizeTarget& target)
        : memory(resize_table_bytes(entries) / sizeof(uint64_t), ~uint64_t{0}) {
        fill_resize_table(entries, target, memory.data(), memory.size() * sizeof(uint64_t));
    }
    ResizeTask task(size_t i) const {
        ResizeTask task;
        std::memcpy(&task, reinterpret_cast<const std::byte*>(memory.data()) + i * sizeof task,
                    sizeof task);
        return task;
    }
    int32_t word(uint64_t i) const {
        int32_t value;
        std::memcpy(&value, reinterpret_cast<const std::byte*>(memory.data()) + i * sizeof value,
                    sizeof value);
        return value;
    }
};

/// The weight of output i at pixel `pixel` of the rectangle, put together from its bytes.
int32_t horizontal_weight(const Table& table, const ResizeTask& task, int i, int pixel) {
    const int first = table.word(task.horizontal + i);
    const int count = table.word(task.horizontal + task.width + i);
    const int group = pixel / 4 - first;
    if (pixel / 4 < first || group >= count)
        return 0;
    int32_t weight = 0;
    for (int part = 0; part < 3; ++part) {
        const int32_t word = table.word(task.horizontal + (3 + 3 * group + part) * task.width + i);
        weight = weight * 256 + static_cast<int8_t>(word >> (pixel % 4 * 8));
    }
    return weight;
}

/// The message of the error with that code.
template <class Action>
std::string refused(ErrorCode code, Action action) {
    try {
        action();
    } catch (const Error& error) {
        CHECK(name(error.code()) == name(code));
        return error.what();
    }
    FAIL_CHECK("no error was thrown");
    return {};
}

} // namespace

TEST_CASE("resize table: holds the loader's windows, counted from the source rectangle") {
    for (const Resample resample : {Resample::bicubic, Resample::lanczos, Resample::box})
        for (const auto& [in, out] :
             {std::pair{1, 1}, {1, 9}, {40, 40}, {61, 30}, {30, 61}, {1000, 12}, {13, 5}}) {
            CAPTURE(in);
            CAPTURE(out);
            ResizePlan plan = plan_of(in + 3, in, out, out);
            plan.width = plan.height = (out + 1) / 2;
            plan.left = plan.top = out / 4;
            const PlannedResize photo(plan, resample);
            const ResizeWindow columns =
                make_resize_window(in, out, plan.left, plan.width, resample);
            const ResizeWindow rows =
                make_resize_window(in + 3, out, plan.top, plan.height, resample);
            REQUIRE(photo.left() == columns.first_input);
            REQUIRE(photo.top() == rows.first_input);
            REQUIRE(photo.columns() == columns.last_input - columns.first_input);
            REQUIRE(photo.rows() == rows.last_input - rows.first_input);

            const Table table({{&photo, 40, 3 * in, 2}},
                              {size_t{1} << 30, 3, plan.height, plan.width});
            const ResizeTask task = table.task(0);
            CHECK(task.source == 40);
            CHECK(task.pitch == 3 * in);
            CHECK(task.slot == 2);
            CHECK(task.vertical_first == vertical_pass_first(plan));
            REQUIRE(task.width == plan.width);
            REQUIRE(task.height == plan.height);
            for (int i = 0; i < task.width; ++i) {
                int64_t sum = 0;
                int wrong = 0;
                for (int pixel = 0; pixel < task.columns + 4; ++pixel) {
                    const int tap = pixel + photo.left() - columns.begin[i];
                    const int32_t expected =
                        tap >= 0 && tap < columns.size[i]
                            ? columns.weights[static_cast<size_t>(i) * columns.taps + tap]
                            : 0;
                    wrong += horizontal_weight(table, task, i, pixel) != expected;
                    sum += expected;
                }
                REQUIRE(wrong == 0);
                REQUIRE(table.word(task.horizontal + 2 * task.width + i) == (1 << 21) + 128 * sum);
                REQUIRE(table.word(task.horizontal + task.width + i) <= task.groups);
            }
            for (int i = 0; i < task.height; ++i) {
                REQUIRE(table.word(task.vertical + i) == rows.begin[i] - photo.top());
                REQUIRE(table.word(task.vertical + task.height + i) == rows.size[i]);
                for (int tap = 0; tap < task.taps; ++tap)
                    REQUIRE(table.word(task.vertical + 2 * task.height + i * task.taps + tap) ==
                            rows.weights[static_cast<size_t>(i) * rows.taps + tap]);
            }
        }
}

TEST_CASE("resize table: the largest photo comes first, a window outside is all zeros") {
    ResizePlan outside = plan_of(20, 20, 10, 10);
    outside.height = outside.width = 8;
    outside.left = 10;
    ResizePlan small = plan_of(9, 9, 8, 8), large = plan_of(50, 70, 8, 8);
    const PlannedResize photos[] = {PlannedResize(outside, Resample::bicubic),
                                    PlannedResize(small, Resample::bicubic),
                                    PlannedResize(large, Resample::bicubic)};
    CHECK(photos[0].rows() == 0);
    CHECK(photos[0].columns() == 0);
    CHECK(photos[0].table_bytes() == 0);
    const Table table({{&photos[0], 0, 0, 4}, {&photos[1], 0, 30, 2}, {&photos[2], 300, 210, 0}},
                      {300 + 50 * 210, 5, 8, 8});
    CHECK(table.task(0).slot == 0);
    CHECK(table.task(1).slot == 2);
    CHECK(table.task(2).slot == 4);
    CHECK(table.task(2).height == 0);
    CHECK(table.task(0).source == 300);
    CHECK(table.word(table.task(0).horizontal + 8) > table.word(table.task(1).horizontal + 8));
    CHECK(resize_table_bytes({}) == 0);
    fill_resize_table({}, {}, nullptr, 0); // nothing to do
}

TEST_CASE("resize table: takes the largest photos and refuses those beyond") {
    const auto code = [](int height, int width, ErrorCode expected) {
        return refused(expected, [&] {
            (void)PlannedResize(plan_of(height, width, 8, 8), Resample::bicubic);
        });
    };
    CHECK(PlannedResize(plan_of(10922, 16384, 2, 2), Resample::bicubic).rows() == 10922);
    CHECK(PlannedResize(plan_of(1, 1 << 22, 1, 2), Resample::bicubic).columns() == 1 << 22);
    CHECK(contains(code(10923, 16385, ErrorCode::image_too_large), "16385 x 10923"));
    CHECK(contains(code(1, (1 << 22) + 1, ErrorCode::image_too_large), "4194305 x 1"));
    CHECK(contains(code(0, 4, ErrorCode::invalid_argument), "4 x 0"));
    const auto bad = [](int out, int window, Resample resample) {
        return refused(ErrorCode::invalid_argument, [&] {
            ResizePlan plan = plan_of(10, 10, out, 4);
            plan.width = window;
            (void)PlannedResize(plan, resample);
        });
    };
    CHECK(contains(bad(0, 4, Resample::bicubic), "4 x 0"));
    CHECK(contains(bad(4, -3, Resample::bicubic), "-3 x 4"));
    CHECK(contains(bad(4, 32769, Resample::bicubic), "32769 x 4"));
    CHECK(contains(bad(4, 4, Resample::nearest), "resample is 0"));
}

TEST_CASE("resize table: refuses an entry that does not fit, by number and value") {
    const PlannedResize photo(plan_of(20, 30, 8, 8), Resample::bicubic);
    const PlannedResize other(plan_of(20, 30, 8, 9), Resample::bicubic);
    const ResizeTarget target{2000, 4, 8, 8};
    const ResizeEntry good{&photo, 0, 90, 0};
    std::vector<uint64_t> memory(10000);
    const auto message = [&](std::vector<ResizeEntry> entries, int shift = 0, size_t less = 0) {
        return refused(ErrorCode::invalid_argument, [&] {
            fill_resize_table(entries, target, reinterpret_cast<std::byte*>(memory.data()) + shift,
                              resize_table_bytes(entries) - less);
        });
    };
    fill_resize_table(std::vector{good}, target, memory.data(), resize_table_bytes({{good}}));
    CHECK(contains(message({good, {nullptr, 0, 90, 1}}), "entry 1 has no photo"));
    CHECK(contains(message({{&other, 0, 90, 0}}), "entry 0 is a window of 9 x 8, slots are 8 x 8"));
    CHECK(contains(message({{&photo, 0, 90, 4}}), "slot 4 of 4"));
    CHECK(contains(message({{&photo, 0, 90, -1}}), "slot -1 of 4"));
    CHECK(contains(message({{&photo, 0, 89, 0}}), "pitch of 89 bytes, its rows have 90"));
    CHECK(contains(message({{&photo, 0, -90, 0}}), "pitch of -90"));
    CHECK(contains(message({{&photo, 201, 90, 0}}), "1800 bytes from 201"));
    CHECK(contains(message({{&photo, 0, 101, 0}}), "2009 bytes from 0"));
    CHECK(contains(message({{&photo, ~uint64_t{0}, 90, 0}}), "1800 bytes from"));
    CHECK(contains(message({good, {&photo, 0, 90, 1}, good}), "slot 0 is named twice"));
    CHECK(contains(message({good}, 4), "8-byte aligned"));
    CHECK(contains(message({good}, 0, 1), "must have"));
    CHECK(contains(refused(ErrorCode::invalid_argument,
                           [&] {
                               fill_resize_table(std::vector{good}, target, nullptr,
                                                 resize_table_bytes({{good}}));
                           }),
                   "no memory"));
}

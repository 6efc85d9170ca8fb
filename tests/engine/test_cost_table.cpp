#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <yeoul/error.h>

#include "engine/batching/cost_table.h"
#include "engine/batching/goodput.h"
#include "engine/batching/wave_model.h"

using namespace yeoul;
using namespace yeoul::batching;

TEST_CASE("cost table: a bucket holds what is asked of it, or is the largest") {
    const CostTable table({{2, 100}, {5, 150}});
    CHECK(table.bucket_for(-3) == 0);
    CHECK(table.bucket_for(1) == 0);
    CHECK(table.bucket_for(2) == 0);
    CHECK(table.bucket_for(3) == 1);
    CHECK(table.bucket_for(5) == 1);
    CHECK(table.bucket_for(1 << 30) == 1);
}

TEST_CASE("cost table: the Pareto set has at most 12 sizes, each 3 % better than the last") {
    for (const std::string& name : kCurves) {
        CAPTURE(name);
        const std::vector<BatchCost> kept = pareto(named_curve(name));
        CHECK(kept.size() <= 12);
        CHECK(kept.size() >= 3);
        for (size_t i = 1; i < kept.size(); ++i)
            CHECK(kept[i].rate() >= kLeastGain * kept[i - 1].rate());
        const CostTable all(named_curve(name));
        CHECK(CostTable(kept).best_per_second() >= all.best_per_second() / kLeastGain);
    }
    CHECK(pareto(named_curve("t4-l14"), 3).size() <= 3);
}

TEST_CASE("cost table: of a step of the stairs the end is kept") {
    const std::vector<BatchCost> kept = pareto({{1, 100}, {2, 101}, {3, 102}, {4, 200}, {6, 210}});
    CHECK(kept == std::vector<BatchCost>{{3, 102}});
    CHECK(pareto({{1, 100}, {4, 102}, {5, 125}, {6, 126}, {7, 180}}) ==
          std::vector<BatchCost>{{4, 102}, {6, 126}});
}

TEST_CASE("cost table: text reads back equal, comments and all") {
    const CostTable table(pareto(named_curve("t4-b32")));
    CHECK(CostTable::from_text(table.to_text()).buckets() == table.buckets());
    const CostTable read = CostTable::from_text("# mine\r\n\n 1   99.5 # one\r\n 8\t120");
    CHECK(read.buckets() == std::vector<BatchCost>{{1, 99.5}, {8, 120}});
}

TEST_CASE("cost table: refuses what is no table, naming the line or the value") {
    for (const char* text :
         {"", "# nothing", "1", "1 x", "1 5 6", "x 5", "0 5", "-1 5", "1 0", "1 -5", "1 nan",
          "1 inf", "2 5\n2 6", "2 5\n1 6", "1 6\n2 5", "99999999999 5", "1 1e300"}) {
        CAPTURE(text);
        CHECK_THROWS_AS(CostTable::from_text(text), Error);
    }
    CHECK_THROWS_WITH_AS(CostTable::from_text("1 5\nbad"), doctest::Contains("line 2"), Error);
}

TEST_CASE("cost table: slower clocks stretch every time") {
    CostTable table({{1, 100}, {8, 150}});
    table.rescale(1.5);
    CHECK(table.buckets()[1].us == doctest::Approx(225));
    CHECK(table.ns(0) == 150'000);
    CHECK(table.bound_per_second(160) == doctest::Approx(1e6 / 150));
    CHECK(table.bound_per_second(100) == 0);
    CHECK_THROWS_AS(table.rescale(0), Error);
    CHECK_THROWS_AS(table.rescale(std::nan("")), Error);
}

TEST_CASE("wave model: whole waves of a T4 are where the paper calculation has them") {
    // 64 photos of 50 tokens are 25 row tiles; 8, 24 and 32 column tiles: multiples of 40 blocks.
    const GpuModel gpu = t4();
    CHECK(wave_efficiency(gpu, 64 * 50, 768) == 1);
    CHECK(wave_efficiency(gpu, 64 * 50, 2304) == 1);
    CHECK(wave_efficiency(gpu, 50, 768) == doctest::Approx(50.0 / (40 * 128) * 8));
    const std::vector<BatchCost> b32 = wave_model(gpu, kClipB32, 128);
    CHECK(b32[63].rate() > b32[64].rate());
    CHECK(b32[63].rate() > 1.05 * b32[31].rate());
    CHECK(b32[63].rate() * 1e6 == doctest::Approx(2790).epsilon(0.01));
    for (size_t i = 1; i < b32.size(); ++i)
        CHECK(b32[i].us >= b32[i - 1].us);
}

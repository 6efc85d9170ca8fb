#include <doctest/doctest.h>

#include <cmath>

#include "engine/batching/goodput.h"

using namespace yeoul;
using namespace yeoul::batching;

namespace {

ArmSetup setup_of(const std::string& curve, double targets, int cores = 0) {
    const CostTable table(pareto(named_curve(curve)));
    return {table, cores, 5'300'000, static_cast<int64_t>(targets * 1e3 * named_curve(curve)[0].us),
            true,  0};
}

ArmSetup exact_setup_of(const std::string& curve, double targets) {
    ArmSetup setup = setup_of(curve, targets);
    setup.table = CostTable(named_curve(curve));
    return setup;
}

double goodput(const std::string& arm, const ArmSetup& setup, Traffic traffic) {
    return find_goodput(
               arm, setup, [=](double rate) { return arrivals(traffic, rate, 40'000, 1); }, 3000)
        .per_second;
}

} // namespace

TEST_CASE("arrivals: have the rate and the shape that was asked for") {
    for (Traffic traffic : {Traffic::poisson, Traffic::bursty, Traffic::on_off, Traffic::albums}) {
        const std::vector<AlbumArrival> all = arrivals(traffic, 500, 200'000, 3);
        int64_t photos = 0;
        double sum = 0, squares = 0;
        for (size_t i = 0; i < all.size(); ++i) {
            photos += all[i].photos;
            const double gap = static_cast<double>(all[i].at_ns - (i ? all[i - 1].at_ns : 0));
            REQUIRE(gap >= 0);
            sum += gap;
            squares += gap * gap;
        }
        CHECK(photos >= 200'000);
        // Of 1000 on and off times the mean is 4.5 % off at one standard deviation.
        CHECK(mean_per_second(all) ==
              doctest::Approx(500).epsilon(traffic == Traffic::on_off ? 0.15 : 0.05));
        const auto count = static_cast<double>(all.size());
        const double variation = std::sqrt(squares / count / (sum / count * sum / count) - 1);
        if (traffic == Traffic::poisson)
            CHECK(variation == doctest::Approx(1).epsilon(0.03));
        if (traffic == Traffic::bursty)
            CHECK(variation == doctest::Approx(2.5).epsilon(0.05));
        if (traffic == Traffic::albums)
            for (const AlbumArrival& album : all)
                REQUIRE((album.photos >= 20 && album.photos <= 100));
    }
}

TEST_CASE("arrivals: a trace is read, scaled and refused by line") {
    const std::vector<AlbumArrival> trace = read_trace("# s photos\n0 1\n0.5 20 # album\n1 4\n");
    REQUIRE(trace.size() == 3);
    CHECK(trace[1].photos == 20);
    CHECK(mean_per_second(trace) == doctest::Approx(25));
    CHECK(at_rate(trace, 50).back().at_ns == 500'000'000);
    for (const char* text : {"", "0 1", "1 1\n0 1", "0 0\n1 1", "0 1\n1 x", "-1 1\n1 1",
                             "nan 1\n1 1", "0 1 1\n1 1", "1 1\n1 1"}) {
        CAPTURE(text);
        CHECK_THROWS_AS(read_trace(text), Error);
    }
    CHECK_THROWS_WITH_AS(read_trace("0 1\nx"), doctest::Contains("line 2"), Error);
}

TEST_CASE("simulator: one at a time at constant cost waits as the formula for M/D/1 says") {
    const ArmSetup setup{CostTable({{1, 1000}}), 0, 0, 1'000'000'000, true, 0};
    const auto arm = make_arm("single", setup);
    const SimulationResult result =
        simulate(*arm, setup, arrivals(Traffic::poisson, 700, 400'000, 1));
    CHECK(result.device_busy == doctest::Approx(0.7).epsilon(0.02));
    // Median of the time in an M/D/1 queue at load 0.7 lies near its mean of
    // 1 + 0.7 / (2 * 0.3) = 2.17 service times, below it.
    CHECK(result.photo.p50_ms > 1.4);
    CHECK(result.photo.p50_ms < 2.17);
    CHECK(result.padding == 0);
    CHECK(result.in_time == result.photos);
}

TEST_CASE("simulator: the same seed gives the same run, another seed another") {
    const ArmSetup setup = setup_of("t4-b32", 8, 4);
    for (const std::string& arm : kArms) {
        SimulationResult results[3];
        for (int i = 0; i < 3; ++i) {
            const auto one = make_arm(arm, setup);
            results[i] =
                simulate(*one, setup, arrivals(Traffic::bursty, 500, 20'000, i < 2 ? 1 : 2));
        }
        CAPTURE(arm);
        CHECK(results[0].in_time == results[1].in_time);
        CHECK(results[0].photo.p95_ms == results[1].photo.p95_ms);
        CHECK(results[0].photo.p95_ms != results[2].photo.p95_ms);
    }
}

TEST_CASE("simulator: four cores that decode bind before a T4 does") {
    const ArmSetup setup = setup_of("t4-b32", 100, 4);
    const auto arm = make_arm("yeoul", setup);
    const SimulationResult result =
        simulate(*arm, setup, arrivals(Traffic::poisson, 900, 50'000, 1));
    CHECK(std::string(result.bound_by()) == "decode");
    CHECK(result.served_per_second < 756);
    CHECK(result.served_per_second > 700);
}

TEST_CASE("simulator: no goodput passes the bound max b / t(b)") {
    for (double targets : {3.0, 8.0}) {
        const ArmSetup setup = exact_setup_of("t4-b16", targets);
        const double bound =
            setup.table.bound_per_second(static_cast<double>(setup.target_ns) / 1e3);
        for (const std::string& arm : kArms)
            if (arm != "best-timeout")
                CHECK(goodput(arm, setup, Traffic::poisson) <= bound * 1.01);
    }
}

TEST_CASE("yeoul: beats greedy under bursts and stays with the best elsewhere") {
    // The others run any batch size at its exact cost; yeoul pays the padding of its few buckets.
    struct Case {
        const char* curve;
        double targets;
        Traffic traffic;
        double least; // yeoul / greedy
    };
    for (const Case& one :
         {Case{"t4-b32", 8, Traffic::bursty, 1.3}, Case{"t4-b32", 25, Traffic::bursty, 1.1},
          Case{"t4-b16", 8, Traffic::bursty, 1.5}, Case{"t4-b16", 25, Traffic::bursty, 1.2},
          Case{"t4-b32", 8, Traffic::poisson, 1.1}}) {
        CAPTURE(one.curve);
        CAPTURE(one.targets);
        const ArmSetup others = exact_setup_of(one.curve, one.targets);
        const double yeoul = goodput("yeoul", setup_of(one.curve, one.targets), one.traffic);
        CHECK(yeoul >= one.least * goodput("greedy", others, one.traffic));
        for (const char* arm : {"greedy-drop", "nexus"})
            CHECK(yeoul >=
                  goodput(arm, others, one.traffic) - 0.01 * others.table.best_per_second());
    }
}

#include <doctest/doctest.h>

#include "engine/batching/arrivals.h"
#include "tests/engine/policy_world.h"

using namespace yeoul;
using namespace yeoul::batching;

namespace {

struct RandomSetup {
    PolicyConfig config;
    CostTable table;
};

RandomSetup random_setup(uint64_t seed) {
    auto draw = [&, n = uint64_t{0}](uint64_t below) mutable {
        return static_cast<int64_t>(counted_random(seed, 9, n++) % below);
    };
    std::vector<BatchCost> buckets;
    int batch = 0;
    double us = 0;
    for (int64_t count = 1 + draw(6); count-- > 0;) {
        batch += 1 + static_cast<int>(draw(8));
        us += static_cast<double>(1 + draw(9000));
        buckets.push_back({batch, us});
    }
    RandomSetup setup{{}, CostTable(buckets)};
    setup.config.decode_workers = 1 + static_cast<int>(draw(4));
    setup.config.streams = 1 + static_cast<int>(draw(2));
    setup.config.latency_target_ns = draw(3) == 0 ? 0 : draw(100'000'000);
    setup.config.bulk_wait_ns = draw(400'000'000);
    setup.config.drop_late = draw(4) == 0;
    setup.config.slots =
        draw(3) == 0 ? setup.config.decode_workers + 1 + static_cast<int>(draw(8)) : 0;
    if (draw(3) == 0)
        setup.config.lead_ns = draw(5'000'000);
    setup.config.shared_cores = draw(3) == 0;
    if (draw(3) == 0)
        setup.config.queue_bytes = static_cast<size_t>(20'000'000 + draw(50'000'000));
    if (draw(3) == 0)
        setup.config.max_wait_ns = draw(100'000'000);
    setup.config.full_batches = draw(6) == 0;
    return setup;
}

} // namespace

TEST_CASE("policy: keeps every promise in thousands of random worlds") {
    test::WorldReport sum;
    for (uint64_t seed = 0; seed < 10000; ++seed) {
        const RandomSetup setup = random_setup(seed);
        const test::WorldReport report = test::live(setup.config, setup.table,
                                                    {.seed = seed,
                                                     .faults = seed % 3 != 0,
                                                     .cancels = seed % 2 == 0,
                                                     .deadlines = seed % 5 != 0,
                                                     .end = static_cast<int>(seed % 7 % 3)});
        CAPTURE(seed);
        REQUIRE_MESSAGE(report.broken.empty(), report.broken.front());
        REQUIRE(report.computed + report.failed + report.late + report.cancelled == report.photos);
        sum.computed += report.computed;
        sum.failed += report.failed;
        sum.late += report.late;
        sum.cancelled += report.cancelled;
        sum.refused += report.refused;
    }
    // The worlds were worth living in: each end was met often.
    for (int count : {sum.computed, sum.failed, sum.late, sum.cancelled, sum.refused})
        CHECK(count > 5000);
}

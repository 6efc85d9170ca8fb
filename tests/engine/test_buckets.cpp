#include <doctest/doctest.h>

#include <map>

#include "engine/buckets.h"

using namespace yeoul;
using namespace yeoul::batching;

namespace {

const std::vector<BatchCost> kProposed = {{1, 1}, {2, 1.75}, {4, 3.25}, {8, 6.25}};

} // namespace

TEST_CASE("buckets: one slow first pass spoils no time") {
    // The first pass ever takes half a second; each other one 50 ms a photo.
    int passes = 0;
    const auto measure = [&](int bucket) {
        return passes++ == 0 ? 0.5e6 : 5e4 * kProposed[static_cast<size_t>(bucket)].us;
    };
    const TimedBuckets timed = time_buckets(kProposed, true, measure, 1.5);
    CHECK(timed.measured == 4);
    CHECK(timed.table.ns(0) == 50'000'000);
    CHECK(timed.table.ns(timed.table.size() - 1) == 312'500'000);
}

TEST_CASE("buckets: the table of a CPU is for one model of processor") {
    const auto table = [&](const std::string& processor) {
        return choose_buckets({.kind = "cpu", .name = processor, .isa = "avx2"}, kClipB32, {})
            .table;
    };
    CHECK(table("AMD EPYC 7763 64-Core Processor") != table("AMD EPYC 9654 96-Core Processor"));
    CHECK(table("Intel(R) Xeon(R) / ../x @ 2.20GHz").find("-intel-r-xeon-r-x-2-20ghz-") !=
          std::string::npos);
}

TEST_CASE("buckets: keeps to its time, and what there was no time for follows from the rest") {
    std::map<int, int> runs;
    double spent_us = 0;
    const auto measure = [&](int bucket) {
        ++runs[bucket];
        const double us = 6e5 * kProposed[static_cast<size_t>(bucket)].us;
        spent_us += us;
        return us;
    };
    const TimedBuckets timed = time_buckets(kProposed, true, measure, 1.5);
    CHECK(timed.measured == 1);
    CHECK(runs[0] == 2);
    CHECK(spent_us <= 1.5e6);
    CHECK(timed.table.largest() == 8);
    CHECK(timed.table.ns(timed.table.size() - 1) == 3'750'000'000);
}

TEST_CASE("buckets: the table's name tells devices of one instruction set apart") {
    DeviceProperties device;
    device.kind = "cuda";
    device.isa = "sm_89";
    const auto table_of = [&](const std::string& name) {
        device.name = name;
        return choose_buckets(device, {}, {.dtype = DType::f16, .threads = 1, .largest = 4}).table;
    };
    CHECK(table_of("NVIDIA L4") != table_of("NVIDIA L40S"));
    CHECK(table_of("NVIDIA L40S").find("-cuda-sm_89-nvidia-l40s-fp16-to4") != std::string::npos);
}

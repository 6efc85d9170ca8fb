#include <csignal>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/apps/program.h"
#include "tests/apps/workplace.h"

using namespace yeoul::test;

namespace {

// Far more than are finished before the signal arrives.
constexpr int kPhotos = 20000;

Call long_run(const Workplace& place, std::vector<std::string> more) {
    const std::string photo = place.photo("a.ppm");
    std::string list;
    for (int i = 0; i < kPhotos; ++i)
        list += photo + '\n';
    Call call{.arguments = {"embed", "-", "--quiet", "--model", place.model(), "--format", "jsonl"},
              .input = list};
    call.arguments.insert(call.arguments.end(), more.begin(), more.end());
    return call;
}

} // namespace

TEST_CASE("signals: the first stops with what is finished written") {
    const Workplace place;
    for (const int number : {SIGINT, SIGTERM}) {
        Running program(long_run(place, {"--output", place / "v.npy"}));
        std::string first;
        REQUIRE(program.read_line(first));
        program.signal(number);
        const Outcome outcome = program.finish();
        CHECK(outcome.code == 128 + number);
        const std::vector<std::string> rows = lines(outcome.out);
        CHECK(rows.size() + 1 < kPhotos);
        for (const std::string& row : rows)
            CHECK(nlohmann::json::parse(row)["embedding"].size() == kDim);
        const std::string npy = place.read("v.npy");
        CHECK(npy.find("(" + std::to_string(rows.size() + 1) + ", 16)") < 128);
    }
}

TEST_CASE("signals: the second ends the program at once") {
    const Workplace place;
    // Nobody reads its output, so that it blocks and could not end by itself.
    Running program(long_run(place, {}));
    std::string first;
    REQUIRE(program.read_line(first));
    program.signal(SIGINT);
    program.wait_until_taken(SIGINT);
    program.signal(SIGINT);
    CHECK(program.wait() == 130);
}

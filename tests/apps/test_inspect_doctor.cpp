#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <sched.h>

#include "tests/apps/program.h"
#include "tests/apps/workplace.h"

using namespace yeoul::test;
using nlohmann::json;

TEST_CASE("inspect: says what was read, as a table and as JSON") {
    const Workplace place;
    const Outcome table = run({"inspect", "--model", place.model()});
    CHECK(table.code == 0);
    for (const std::string& part : std::vector<std::string>{"clip", place.model(), "image_size",
                                                            "parameters", "cpu", "kernel"}) {
        CAPTURE(part);
        CHECK(table.out.find(part) != std::string::npos);
    }
    for (const std::string& line : lines(table.out.substr(table.out.find("\nop "))))
        CHECK(line.size() <= 120);
    const Outcome text = run({"inspect", "--model", place.model(), "--format", "json"});
    REQUIRE(text.code == 0);
    const json facts = json::parse(text.out);
    CHECK(facts["dim"] == kDim);
    CHECK(facts["image_height"] == 32);
    CHECK(facts["path"] == place.model());
    CHECK(facts["device"]["kind"] == "cpu");
    CHECK(!facts["facts"].empty());
    CHECK(!facts["ops"].empty());
}

TEST_CASE("doctor: a sound machine passes with a self-test, and no CUDA is said, not failed") {
    const Workplace place;
    const Outcome outcome = run({"doctor", "--model", place.model(), "--format", "json"});
    CAPTURE(outcome.out);
    CHECK(outcome.code == 0);
    std::map<std::string, std::string> status;
    for (const json& finding : json::parse(outcome.out))
        status[finding["what"]] = finding["status"];
    CHECK(status["device cpu"] == "ok");
    CHECK(status["self-test cpu"] == "ok");
    CHECK(status["device cuda"] == "absent");
    CHECK(run({"doctor", "--model", place.model()}).code == 0);
}

TEST_CASE("programs: take as many threads as their affinity has cores") {
    const Workplace place;
    cpu_set_t all, one;
    REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
    if (CPU_COUNT(&all) == 1)
        MESSAGE("this machine gives one core anyway");
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0); // the programs inherit it
    const Outcome doctor = run({"doctor", "--model", place.model()});
    const Outcome embed = run({"embed", "--model", place.model(), place.photo("a.ppm")});
    REQUIRE(sched_setaffinity(0, sizeof all, &all) == 0);
    CHECK(doctor.out.find(", 1 core for this process") != std::string::npos);
    CHECK(embed.err.find(", 1 thread,") != std::string::npos);
}

TEST_CASE("doctor: a model that does not load and a device that is asked for fail with a fix") {
    const Workplace place;
    const Outcome model = run({"doctor", "--model", place / "nowhere"});
    CHECK(model.code == 4);
    CHECK(model.out.find("FAILED") != std::string::npos);
    CHECK(model.out.find("--model DIR") != std::string::npos);
    const Outcome cuda = run({"doctor", "--model", place.model(), "--device", "cuda"});
    CHECK(cuda.code == 4);
    CHECK(cuda.out.find("take --device cpu") != std::string::npos);
    CHECK(run({"doctor", "--model", place.model(), "--device", "tpu"}).code == 2);
}

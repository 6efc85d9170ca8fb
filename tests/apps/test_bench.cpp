#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/apps/program.h"
#include "tests/apps/workplace.h"

using namespace yeoul::test;
using nlohmann::json;

namespace {

Outcome bench(std::vector<std::string> arguments, std::string input = "") {
    return run_call(Call{
        .program = "engine-bench", .arguments = std::move(arguments), .input = std::move(input)});
}

} // namespace

TEST_CASE("bench: model prints a markdown row per batch and streams") {
    const Workplace place;
    const Outcome outcome = bench({"model", "--model", place.model(), "--batches", "1,3",
                                   "--streams", "1,2", "--repetitions", "2"});
    CHECK(outcome.code == 0);
    const std::vector<std::string> rows = lines(outcome.out);
    REQUIRE(rows.size() >= 6);
    CHECK(rows[0].find("GFLOP/s") != std::string::npos);
    CHECK(rows[0].find("bound by") != std::string::npos);
    CHECK(rows[1].starts_with("|---"));
    for (size_t i = 2; i < 6; ++i)
        CHECK(rows[i].starts_with("| model "));
}

TEST_CASE("bench: model keeps every sample, and compares") {
    const Workplace place;
    const std::vector<std::string> flags = {"model",     "--model",  place.model(),
                                            "--batches", "2",        "--repetitions",
                                            "3",         "--format", "json"};
    const Outcome outcome = bench(flags);
    REQUIRE(outcome.code == 0);
    json report = json::parse(outcome.out);
    CHECK(report["environment"].contains("cpu"));
    CHECK(report["environment"].contains("commit"));
    REQUIRE(report["measurements"].size() == 1);
    CHECK(report["measurements"][0]["samples_ms"].size() == 3);

    auto against = [&](double ms) {
        report["measurements"][0]["samples_ms"] = {ms, ms, ms};
        place.write("old.json", report.dump());
        std::vector<std::string> all = flags;
        all.insert(all.end(), {"--compare", place / "old.json"});
        return bench(all);
    };
    CHECK(against(1e6).code == 0);
    const Outcome regression = against(1e-6);
    CHECK(regression.code == 6);
    CHECK(regression.err.find("slower") != std::string::npos);
    place.write("old.json", "{}");
    std::vector<std::string> all = flags;
    all.insert(all.end(), {"--compare", place / "old.json"});
    const Outcome wrong = bench(all);
    CHECK(wrong.code == 2);
    CHECK(wrong.out == ""); // nothing was measured for it
}

TEST_CASE("bench: model answers lines of stdin") {
    const Workplace place;
    const std::vector<std::string> flags = {"model",     "--model", place.model(),
                                            "--batches", "1",       "--stdin"};
    const Outcome outcome = bench(flags, "1 3\n2 1\n1 1\n");
    CHECK(outcome.code == 0);
    const std::vector<std::string> rows = lines(outcome.out);
    REQUIRE(rows.size() == 4);
    CHECK(json::parse(rows[0])["ready"] == true);
    CHECK(json::parse(rows[1])["wall_ms"].size() == 3);
    CHECK(json::parse(rows[2])["photos"] == 2); // not announced, and back to what was
    CHECK(json::parse(rows[3])["photos"] == 1);
    CHECK(bench(flags, "0 3\n").code == 2);
}

TEST_CASE("bench: preprocess splits the stages of the photos given") {
    const Workplace place;
    const Outcome outcome = bench({"preprocess", place.photo("a.ppm", 1, 300, 200), "--repetitions",
                                   "2", "--format", "json"});
    REQUIRE(outcome.code == 0);
    const json measurement = json::parse(outcome.out)["measurements"][0];
    CHECK(measurement["key"]["size"] == "300x200");
    for (const char* stage : {"decode ms", "resize ms", "normalize ms"})
        CHECK(measurement["values"].contains(stage));
    CHECK(bench({"preprocess", place / "missing.jpg"}).code == 2);
    place.write("text.jpg", "no photo");
    const Outcome text = bench({"preprocess", place / "text.jpg"});
    CHECK(text.code == 1);
    CHECK(text.err.starts_with("error: 'text.jpg': "));
    const Outcome folder = bench({"preprocess", place / ""});
    CHECK(folder.code == 2);
    CHECK(folder.err.find("is a folder") != std::string::npos);
}

TEST_CASE("bench: simulate compares policies, and the same seed gives the same table") {
    const std::vector<std::string> flags = {"simulate",     "--photos",  "2000", "--arms",
                                            "greedy,yeoul", "--targets", "8"};
    const Outcome outcome = bench(flags);
    REQUIRE(outcome.code == 0);
    CHECK(outcome.out.find("yeoul / greedy") != std::string::npos);
    CHECK(outcome.out.find("| t4-b32 |") != std::string::npos);
    CHECK(bench(flags).out == outcome.out);

    const Workplace place;
    place.write("mine.txt", "# batch us\n1 3000\n8 9000\n");
    place.write("trace.txt", "0 5\n0.2 20\n1 3\n");
    const Outcome own =
        bench({"simulate", "--cost-table", place / "mine.txt", "--trace", place / "trace.txt",
               "--target-ms", "100", "--load", "50", "--arms", "yeoul", "--format", "json"});
    REQUIRE(own.code == 0);
    const json run = json::parse(own.out)["runs"][0];
    CHECK(run["photos"] == 28);
    CHECK(run["in_time"].get<int>() + run["dropped"].get<int>() == 28);
    CHECK(run["bound_per_second"].get<double>() == doctest::Approx(754.7).epsilon(0.01));
}

TEST_CASE("bench: simulate names what it cannot read") {
    const Workplace place;
    place.write("bad.txt", "1 3000\nno\n");
    const Outcome table = bench({"simulate", "--cost-table", place / "bad.txt"});
    CHECK(table.code == 2);
    CHECK(table.err.find("line 2") != std::string::npos);
    CHECK(bench({"simulate", "--trace", place / "none.txt"}).code == 2);
    CHECK(bench({"simulate", "--photo-ms", "fast"}).code == 2);
    CHECK(bench({"simulate", "--arms", "best"}).code == 2);
    CHECK(bench({"simulate", "--targets", "0"}).code == 2);
}

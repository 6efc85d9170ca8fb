#include <csignal>
#include <cstdio>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/apps/program.h"
#include "tests/apps/workplace.h"

using namespace yeoul::test;
using nlohmann::json;

namespace {

Outcome serve(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "serve");
    for (const char* common : {"--device", "cpu", "--threads", "2", "--seconds", "1",
                               "--warmup-seconds", "0", "--rounds", "1"})
        arguments.emplace_back(common);
    return run_call(
        Call{.program = "engine-bench", .arguments = std::move(arguments), .input = ""});
}

} // namespace

TEST_CASE("bench: serve compares the ways to serve single photos") {
    const Workplace place;
    const Outcome outcome =
        serve({"--model", place.model(), "--mode", "single,streams:2,instances:2,batch4,dynamic",
               "--clients", "9", "--batch-timeout-ms", "20", "--format", "json"});
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    const json report = json::parse(outcome.out);
    CHECK(report["benchmark"] == "serve");
    CHECK(report["environment"].contains("commit"));
    const json& rows = report["measurements"];
    REQUIRE(rows.size() == 5);
    const auto value = [&](size_t row, const char* name) {
        return rows[row]["values"][name].get<double>();
    };
    for (size_t row = 0; row < rows.size(); ++row) {
        CHECK(rows[row]["samples_ms"].size() == 1);
        CHECK(value(row, "failed") == 0);
        CHECK(value(row, "p99 ms") >= value(row, "p50 ms"));
        CHECK(value(row, "device %") > 0);
        CHECK(value(row, "device %") <= 100);
        CHECK(value(row, "reserved MiB") >= value(row, "allocated MiB"));
    }
    CHECK(value(0, "/ single") == doctest::Approx(1));
    for (size_t row : {0, 1, 2}) // one photo a pass
        CHECK(value(row, "mean batch") == doctest::Approx(1));
    CHECK(value(3, "mean batch") > 3); // nine callers fill batches of four
    CHECK(value(2, "weights MiB") == doctest::Approx(value(0, "weights MiB")));
    CHECK(value(2, "allocated MiB") > value(0, "allocated MiB"));
}

TEST_CASE("bench: serve takes photos as they arrive, and JPEG files") {
    const Workplace place;
    const Outcome outcome =
        serve({"--model", place.model(), "--mode", "dynamic,instances:2", "--no-shared-weights",
               "--arrivals", "poisson,bursty", "--rates", "100", "--photos", "jpeg", "--size",
               "64x48", "--format", "json"});
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    const json rows = json::parse(outcome.out)["measurements"];
    REQUIRE(rows.size() == 4);
    CHECK(rows[0]["key"]["load"] == "poisson, 100/s");
    CHECK(rows[3]["key"]["mode"] == "instances:2, own weights");
    CHECK(rows[1]["values"]["weights MiB"].get<double>() ==
          doctest::Approx(2 * rows[0]["values"]["weights MiB"].get<double>()));
    for (const json& row : rows) {
        const double per_second = 1000 / row["median_ms"].get<double>();
        CHECK(per_second > 30); // of a hundred; one second of either is uneven
        CHECK(per_second < 300);
    }
}

TEST_CASE("bench: serve puts load on a server that runs") {
    const Workplace place;
    Running server(Call{.program = "engine-serve",
                        .arguments = {"--model", place.model(), "--port", "0", "--threads", "2"},
                        .input = ""});
    std::string address;
    REQUIRE(server.read_line(address));
    const Outcome outcome = serve({address, "--size", "64x48", "--clients", "3", "--arrivals",
                                   "closed,poisson", "--rates", "50", "--format", "json"});
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    const json rows = json::parse(outcome.out)["measurements"];
    REQUIRE(rows.size() == 2);
    CHECK(rows[0]["key"]["url"] == address);
    CHECK(rows[0]["values"]["failed"] == 0);
    CHECK(rows[1]["values"]["failed"] == 0);

    // What the server refuses is told, and nobody waits for ever.
    const Outcome lost = serve({address + "/v1/nothing", "--size", "64x48", "--clients", "2"});
    CHECK(lost.code == 1);
    CHECK(lost.err.find("status 404") != std::string::npos);
    server.signal(SIGTERM);
    CHECK(server.finish().code == 0);
    const Outcome gone = serve({address, "--size", "64x48"});
    CHECK(gone.code == 1);
    CHECK(gone.err.find("nobody answers") != std::string::npos);
}

TEST_CASE("bench: serve names what it does not understand") {
    for (const auto& [flag, value] : {std::pair{"--mode", "fast"},
                                      {"--mode", "streams:5"},
                                      {"--mode", "streams:"},
                                      {"--mode", "instances:0"},
                                      {"--mode", "batch1"},
                                      {"--mode", "batch32x"},
                                      {"--mode", ""},
                                      {"ftp://x", "--rounds=1"},
                                      {"http://", "--rounds=1"},
                                      {"--size", "64"},
                                      {"--size", "64x"},
                                      {"--size", "0x5"},
                                      {"--arrivals", "now"}}) {
        CAPTURE(flag);
        CAPTURE(value);
        const Outcome outcome = serve({flag, value});
        CHECK(outcome.code == 2);
        CHECK(outcome.out == "");
        CHECK(outcome.err.starts_with("error: "));
    }
}

TEST_CASE("bench: scheduler measures host time and stays near the simulator") {
    const Outcome outcome = run_call(
        Call{.program = "engine-bench",
             .arguments = {"scheduler", "--photos", "2000", "--rounds", "1", "--seconds", "1",
                           "--curves", "t4-b32", "--arrivals", "poisson", "--loads", "30"},
             .input = ""});
    CAPTURE(outcome.err);
    CHECK(outcome.code == 0);
    double photo_us = 0, pass_us = 0;
    const size_t host = outcome.out.find("Host time: ");
    REQUIRE(host != std::string::npos);
    REQUIRE(std::sscanf(outcome.out.c_str() + host, "Host time: %lf us a photo and %lf us a pass",
                        &photo_us, &pass_us) == 2);
    CHECK(photo_us < 10 * 2); // an order above what is asked, for a machine with other work
    CHECK(pass_us < 10 * 20);
    const size_t row = outcome.out.find("| t4-b32 | poisson");
    REQUIRE(row != std::string::npos);
    double threads = 0, simulator = 0;
    REQUIRE(std::sscanf(outcome.out.c_str() + row, "| t4-b32 | poisson | 30 %% | %lf / %lf",
                        &threads, &simulator) == 2);
    CHECK(threads > 0.8 * simulator);
    CHECK(threads < 1.2 * simulator);
}

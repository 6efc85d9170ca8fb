#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/apps/program.h"

using namespace yeoul::test;
using nlohmann::json;

TEST_CASE("bench: soak finds no broken promise") {
    const Outcome outcome =
        run_call(Call{.program = "engine-bench",
                      .arguments = {"soak", "--device", "cpu", "--seconds", "4", "--format", "json",
                                    "--model", YEOUL_SOURCE_DIR "/apps/demo/model"},
                      .input = ""});
    CAPTURE(outcome.err);
    CHECK(outcome.code == 0);
    const json report = json::parse(outcome.out);
    CHECK(report["broken"].empty());
    CHECK(report["device allocations"] == 0);
    CHECK(report["photos"] >= report["requests"]);
}

namespace {

/// Watched by a CUPTI that reports `kind` (fakes/cupti.cpp).
Outcome watched_soak(const std::string& kind, std::vector<std::string> arguments) {
    std::vector<std::string> all = {
        "soak",     "--cupti", YEOUL_FAKE_CUPTI, "--model", YEOUL_SOURCE_DIR "/apps/demo/model",
        "--format", "json"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_call(Call{
        .program = "engine-bench",
        .arguments = std::move(all),
        .input = "",
        .environment = {"YEOUL_CUDA_LIBRARY=" YEOUL_EMULATED_CUDA, "YEOUL_TEST_CUPTI=" + kind}});
}

} // namespace

TEST_CASE("bench: soak has its promises confirmed by the driver's calls and its free memory") {
    const Outcome outcome = watched_soak(
        "", {"--device", "cuda", "--seconds", "1", "--callers", "1", "--batch-size", "1"});
    CAPTURE(outcome.err);
    CHECK(outcome.code == 0);
    const json report = json::parse(outcome.out);
    CHECK(report["broken"].empty());
    CHECK(report["CUPTI: allocations to open"] == 1);
    CHECK(report["CUPTI: other calls"] > 0);
    CHECK(report["GPU free MiB, ready"] > 0);
    CHECK(report["GPU free MiB, least"] == report["GPU free MiB, ready"]);
}

TEST_CASE("bench: soak names the driver's functions that nobody may call while photos are served") {
    for (const char* function : {"cuCtxSynchronize", "cudaMalloc_v3020", "cuMemFree \"quoted\""}) {
        const Outcome outcome = watched_soak(function, {"--device", "cpu", "--seconds", "1"});
        CHECK(outcome.code == 1);
        CHECK(outcome.err.find(function) != std::string::npos);
        const json broken = json::parse(outcome.out)["broken"];
        REQUIRE(broken.size() == 1);
        CHECK(broken[0].get<std::string>().find(function) != std::string::npos);
    }
}

TEST_CASE("bench: soak believes no CUPTI that sees nothing, and says why there is none") {
    const Outcome silent = watched_soak("silent", {"--device", "cpu", "--seconds", "1"});
    CHECK(silent.code == 1);
    CHECK(silent.err.find("broken: CUPTI sees how the engine asks") != std::string::npos);
    for (const char* kind : {"busy", "refuses"}) {
        const Outcome none = watched_soak(kind, {"--device", "cpu"});
        CHECK(none.code == 4);
        CHECK(none.err.find("CUPTI_ERROR_") != std::string::npos);
    }
}

TEST_CASE("bench: soak takes no nonsense") {
    CHECK(run_call(Call{.program = "engine-bench",
                        .arguments = {"soak", "--cupti", "/no/such/libcupti.so"},
                        .input = ""})
              .code == 4);
    for (const char* seconds : {"0", "-1", "x"})
        CHECK(run_call(Call{.program = "engine-bench",
                            .arguments = {"soak", "--seconds", seconds},
                            .input = ""})
                  .code == 2);
}

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

TEST_CASE("bench: soak takes no nonsense") {
    for (const char* seconds : {"0", "-1", "x"})
        CHECK(run_call(Call{.program = "engine-bench",
                            .arguments = {"soak", "--seconds", seconds},
                            .input = ""})
                  .code == 2);
}

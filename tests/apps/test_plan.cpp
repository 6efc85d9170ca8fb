#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/apps/program.h"
#include "tests/apps/workplace.h"
#include "tests/support/text.h"

using namespace yeoul::test;
using nlohmann::json;

namespace {

json plan_of(const Workplace& place, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"plan", "--model", place.model(), "--format", "json"});
    const Outcome outcome = run(arguments);
    CAPTURE(outcome.err);
    REQUIRE((outcome.code == 0 || outcome.code == 4));
    return json::parse(outcome.out);
}

} // namespace

TEST_CASE("plan: says what the engine will hold, as a table and as JSON") {
    const Workplace place;
    const Outcome table = run({"plan", "--model", place.model()});
    CHECK(table.code == 0);
    for (const char* part : {"weights", "arenas", "staging", "engine's own", "It fits."}) {
        CAPTURE(part);
        CHECK(contains(table.out, part));
    }
    const json plan = plan_of(place, {"--batch-size", "3", "--streams", "2"});
    CHECK(plan["batch_size"] == 3);
    CHECK(plan["streams"] == 2);
    CHECK(plan["fits"] == true);
    CHECK(plan["largest_batch_size"] == 3);
    CHECK(plan["buckets"].size() == 3); // 1, 2, 3
    int64_t sum = 0;
    for (const json& line : plan["lines"])
        sum += line["bytes"].get<int64_t>();
    CHECK(plan["owned_bytes"] == sum);

    // Of what engine-serve --labels and tag hold.
    const std::string model =
        std::string(YEOUL_SOURCE_DIR) + "/tests/golden/clip_text/quick-gelu-77";
    const Outcome text = run({"plan", "--model", model, "--text", "--format", "json"});
    REQUIRE(text.code == 0);
    const Outcome photos = run({"plan", "--model", model, "--format", "json"});
    CHECK(json::parse(text.out)["owned_bytes"] > json::parse(photos.out)["owned_bytes"]);
    CHECK(contains(text.out, "text tower"));
    CHECK_FALSE(contains(photos.out, "text tower"));
}

TEST_CASE("plan: exits 4 with the largest batch that would fit, and embed refuses the same") {
    const Workplace place;
    const int64_t needed = plan_of(place, {"--batch-size", "1024"})["needed_bytes"];
    const std::string less = std::to_string(needed - 1);
    CHECK(run({"plan", "--model", place.model(), "--batch-size", "1024", "--budget",
               std::to_string(needed)})
              .code == 0);
    const Outcome outcome =
        run({"plan", "--model", place.model(), "--batch-size", "1024", "--budget", less});
    CAPTURE(outcome.err);
    CHECK(outcome.code == 4);
    CHECK(contains(outcome.out, "It does not fit."));
    const json plan = plan_of(place, {"--batch-size", "1024", "--budget", less});
    CHECK(plan["fits"] == false);
    const std::string largest = std::to_string(plan["largest_batch_size"].get<int>());
    CHECK(contains(outcome.err, "--batch-size " + largest + ", the largest that fits"));

    Call embed;
    embed.arguments = {"embed",       place.photo("a.ppm"), "--model",
                       place.model(), "--batch-size",       "1024"};
    embed.environment = {"YEOUL_BUDGET=" + less};
    const Outcome refused = run_call(embed);
    CHECK(refused.code == 4);
    CHECK(contains(refused.err, "--batch-size " + largest));
    embed.arguments.back() = largest;
    CHECK(run_call(embed).code == 0);
}

TEST_CASE("plan: a budget under the weights says so, and one that is no size is a usage error") {
    const Workplace place;
    const Outcome tight = run({"plan", "--model", place.model(), "--budget", "1KiB"});
    CHECK(tight.code == 4);
    CHECK(contains(tight.err, "the weights alone need"));
    for (const char* text : {"0", "-1", "much", "15GB", "1e9", ""}) {
        CAPTURE(text);
        const Outcome absurd = run({"plan", "--model", place.model(), "--budget", text});
        CHECK(absurd.code == 2);
        CHECK(contains(absurd.err, "--budget is '" + std::string(text) + "'"));
    }
    CHECK(run({"plan", "--model", place / "nowhere"}).code == 3);
}

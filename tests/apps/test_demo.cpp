// What `make demo` prints: the bundled model's tags and near-duplicates of the bundled photos.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include <nlohmann/json.hpp>

#include "loader/safetensors.h"
#include "tests/apps/program.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

using nlohmann::json;

const std::string kDemo = std::string(YEOUL_SOURCE_DIR) + "/apps/demo";

/// Lines `photo TAB label` of expected_tags.txt.
std::map<std::string, std::string> expected_tags() {
    std::ifstream file(kDemo + "/expected_tags.txt");
    REQUIRE(file);
    std::map<std::string, std::string> tags;
    for (std::string line; std::getline(file, line);) {
        const size_t tab = line.find('\t');
        REQUIRE(tab != std::string::npos);
        tags[line.substr(0, tab)] = line.substr(tab + 1);
    }
    return tags;
}

std::vector<std::string> labels() {
    std::ifstream file(kDemo + "/labels.txt");
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);)
        all.push_back(line);
    return all;
}

/// What transformers gives: (photos, labels), row by row.
std::vector<float> expected_probabilities() {
    const loader::Safetensors tensors = loader::Safetensors::open_file(
        std::string(YEOUL_SOURCE_DIR) + "/tests/golden/demo/vectors.safetensors");
    const loader::TensorInfo* info = tensors.find("probabilities");
    REQUIRE(info != nullptr);
    std::vector<float> values(info->data.size() / sizeof(float));
    std::memcpy(values.data(), info->data.data(), info->data.size());
    return values;
}

Outcome tag(const std::string& count) {
    return run({"tag", kDemo + "/photos", "--model", kDemo + "/model", "--labels-file",
                kDemo + "/labels.txt", "--template", "a photo of {}", "--format", "jsonl",
                "--top-k", count});
}

std::string name_of(const json& path) {
    return std::filesystem::path(path.get<std::string>()).filename();
}

} // namespace

TEST_CASE("demo: the likeliest tag of each bundled photo is what it shows") {
    const Outcome outcome = tag("1");
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    const std::map<std::string, std::string> expected = expected_tags();
    std::map<std::string, std::string> seen;
    for (const std::string& line : lines(outcome.out)) {
        const json photo = json::parse(line);
        const std::string name = name_of(photo["path"]);
        CAPTURE(name);
        seen[name] = photo["tags"][0]["label"];
        // Not by a hair: another processor's rounding must not change the answer.
        CHECK(photo["tags"][0]["probability"].get<double>() > 0.5);
    }
    CHECK(seen == expected);
}

TEST_CASE("demo: every tag has the probability that transformers gives it") {
    const std::vector<std::string> names = labels();
    const std::vector<float> expected = expected_probabilities();
    const Outcome outcome = tag(std::to_string(names.size()));
    REQUIRE(outcome.code == 0);
    REQUIRE(lines(outcome.out).size() * names.size() == expected.size());
    size_t row = 0;
    for (const std::string& line : lines(outcome.out)) {
        std::map<std::string, double> seen;
        const json photo = json::parse(line);
        for (const json& found : photo["tags"])
            seen[found["label"]] = found["probability"];
        REQUIRE(seen.size() == names.size());
        // Vectors agree to 1e-5 or so, and the softmax multiplies by a logit scale of up to 100.
        for (size_t i = 0; i < names.size(); ++i)
            CHECK(std::abs(seen[names[i]] - expected[row * names.size() + i]) < 2e-3);
        ++row;
    }
}

TEST_CASE("demo: the near-duplicates among the bundled photos are found, and nothing else") {
    const Outcome outcome =
        run({"duplicates", kDemo + "/photos", "--model", kDemo + "/model", "--format", "json"});
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    const json found = json::parse(outcome.out);
    std::vector<std::vector<std::string>> groups;
    for (const json& group : found["groups"]) {
        groups.emplace_back();
        for (const json& path : group["paths"])
            groups.back().push_back(name_of(path));
    }
    CHECK(groups ==
          std::vector<std::vector<std::string>>{{"dunes-cropped.jpg", "dunes.jpg"},
                                                {"marbles-recompressed.jpg", "marbles.jpg"}});
    CHECK(name_of(found["closest"]["paths"][0]) == "marbles-recompressed.jpg");
    CHECK(name_of(found["closest"]["paths"][1]) == "marbles.jpg");
}

// engine-run tag, duplicates, verify and compare, started as a user does.
#include <doctest/doctest.h>

#include <filesystem>

#include <nlohmann/json.hpp>

#include "loader/npy.h"
#include "loader/safetensors.h"
#include "tests/apps/program.h"
#include "tests/apps/workplace.h"
#include "tests/support/text.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

using nlohmann::json;

/// A model with a text side.
std::string text_model() {
    return std::string(YEOUL_SOURCE_DIR) + "/tests/golden/clip_text/quick-gelu-77";
}

Outcome tag(const Workplace& place, std::vector<std::string> more) {
    std::vector<std::string> arguments{"tag", "--model", text_model(), place / "a.pnm"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
}

/// Vectors of `rows` x 3 in a file.
std::string vectors(const Workplace& place, const std::string& name,
                    const std::vector<float>& values, int dim = 3) {
    loader::write_npy(place / name, values, static_cast<int>(values.size()) / dim, dim);
    return place / name;
}

} // namespace

TEST_CASE("tag: each photo gets the likeliest labels, probabilities of all sum to one") {
    const Workplace place;
    place.photo("a.pnm", 1);
    place.photo("b.pnm", 2);
    place.write("broken.jpg", "no photo");
    const Outcome all =
        run({"tag", "--model", text_model(), place / "a.pnm", place / "broken.jpg", place / "b.pnm",
             "--labels", "cat, dog ,red car", "--format", "jsonl"});
    CHECK(all.code == 5);
    REQUIRE(lines(all.out).size() == 3);
    for (size_t row : {0, 2}) {
        const json photo = json::parse(lines(all.out)[row]);
        REQUIRE(photo["tags"].size() == 3);
        double sum = 0, before = 1;
        for (const json& found : photo["tags"]) {
            CHECK((found["label"] == "cat" || found["label"] == "dog" ||
                   found["label"] == "red car"));
            CHECK(found["probability"].get<double>() <= before);
            before = found["probability"];
            sum += before;
        }
        CHECK(sum == doctest::Approx(1).epsilon(1e-5));
    }
    CHECK(json::parse(lines(all.out)[1])["error"]["code"] == "bad_image");

    const Outcome two = tag(place, {"--labels", "cat,dog,red car", "--top-k", "2"});
    CHECK(two.code == 0);
    CHECK(contains(two.out, "a.pnm"));
    CHECK(contains(two.out, " %, "));
    const Outcome csv = tag(place, {"--labels", "cat,dog", "--format", "csv"});
    CHECK(contains(csv.out, "path,error,message,label1,probability1,label2,probability2\n"));
}

TEST_CASE("tag: a photo's tags do not depend on what else is tagged, nor on the label's order") {
    const Workplace place;
    place.photo("a.pnm", 1);
    const json one = json::parse(
        tag(place, {"--labels", "cat,dog,tree", "--format", "jsonl", "--batch-size", "1"}).out);
    const json other = json::parse(
        tag(place, {"--labels", "tree,dog,cat", "--format", "jsonl", "--batch-size", "4"}).out);
    for (size_t i = 0; i < 3; ++i) {
        CHECK(one["tags"][i]["label"] == other["tags"][i]["label"]);
        CHECK(one["tags"][i]["probability"].get<double>() ==
              doctest::Approx(other["tags"][i]["probability"].get<double>()).epsilon(1e-4));
    }
}

TEST_CASE("tag: labels that cannot be used end with the usage code and their name") {
    const Workplace place;
    place.photo("a.pnm");
    const auto refused = [&](std::vector<std::string> more) {
        const Outcome outcome = tag(place, std::move(more));
        CHECK(outcome.code == 2);
        CHECK(outcome.out.empty());
        return outcome.err;
    };
    CHECK(contains(refused({}), "--labels"));
    CHECK(contains(refused({"--labels", "cat,,dog"}), "label 2"));
    CHECK(contains(refused({"--labels", "cat,dog,Cat"}), "\"Cat\", is the same to the model"));
    CHECK(contains(refused({"--labels", "cat", "--template", "a photo"}), "has no {}"));
    CHECK(contains(refused({"--labels", "d\xffg"}), "not UTF-8"));
    std::string most;
    for (int i = 0; i < 80; ++i)
        most += "1 ";
    CHECK(contains(refused({"--labels", "cat," + most}), "tokens"));
    place.write("labels.txt", "cat\n\n dog \r\n");
    CHECK(tag(place, {"--labels-file", place / "labels.txt"}).code == 0);
    CHECK(contains(refused({"--labels-file", place / "labels.txt", "--labels", "cat"}), "either"));
    const Outcome none = run({"tag", "--model", place.model(), place / "a.pnm", "--labels", "cat"});
    CHECK(none.code == 3);
    CHECK(contains(none.err, "has no text"));
}

TEST_CASE("duplicates: equal photos share a group, in a stable order") {
    const Workplace place;
    for (const auto& [name, seed] :
         {std::pair{"a.pnm", 1}, {"b.pnm", 7}, {"c.pnm", 1}, {"d.pnm", 7}, {"e.pnm", 3}})
        place.photo(name, seed);
    const std::vector<std::string> call{"duplicates",    "--model",       place.model(),
                                        place / "a.pnm", place / "b.pnm", place / "c.pnm",
                                        place / "d.pnm", place / "e.pnm", "--threshold",
                                        "0.999999",      "--format",      "json"};
    const Outcome outcome = run(call);
    CHECK(outcome.code == 0);
    const json found = json::parse(outcome.out);
    REQUIRE(found["groups"].size() == 2);
    CHECK(found["groups"][0]["paths"] == json({place / "a.pnm", place / "c.pnm"}));
    CHECK(found["groups"][1]["paths"] == json({place / "b.pnm", place / "d.pnm"}));
    CHECK(found["closest"]["cosine"] == doctest::Approx(1));
    CHECK(run(call).out == outcome.out);
    const Outcome table = run({"duplicates", "--model", place.model(), place / "a.pnm",
                               place / "e.pnm", "--threshold", "0.999999"});
    CHECK(contains(table.out, "no near-duplicates"));
    CHECK(contains(table.out, "closest: "));
    const Outcome stored =
        run({"duplicates", "--vectors", vectors(place, "v.npy", {1, 0, 0, 0, 2, 0, 3, 0.01f, 0}),
             "--format", "csv"});
    CHECK(stored.code == 0);
    CHECK(stored.out == "group,path\n1,vector 1\n1,vector 3\n");
    CHECK(run({"duplicates"}).code == 2);
    const Outcome bad =
        run({"duplicates", "--model", place.model(), place / "a.pnm", "--threshold", "1.5"});
    CHECK(bad.code == 2);
    CHECK(contains(bad.err, "'1.5', must be a cosine"));
}

TEST_CASE("verify: passes on vectors of this program, and ends with 6 where one is another") {
    const Workplace place;
    place.photo("a.pnm", 1);
    place.photo("b.pnm", 2);
    const std::string file = place / "stored.safetensors";
    REQUIRE(
        run({"embed", "--model", place.model(), place / "a.pnm", place / "b.pnm", "--output", file})
            .code == 0);
    const Outcome same = run({"verify", "--model", place.model(), "--reference", file});
    CHECK(same.code == 0);
    CHECK(contains(same.out, "1.000000"));
    const Outcome swapped = run({"verify", "--model", place.model(), "--reference", file,
                                 place / "b.pnm", place / "a.pnm", "--format", "json"});
    CHECK(swapped.code == 6);
    CHECK(json::parse(swapped.out)["cosine_min"].get<double>() < 0.9999);
    const Outcome fewer =
        run({"verify", "--model", place.model(), "--reference", file, place / "a.pnm"});
    CHECK(fewer.code == 2);
    CHECK(contains(fewer.err, "2 vectors for 1 photos"));
    CHECK(run({"verify", "--model", place.model()}).code == 2);
    const Outcome other = run({"verify", "--model", text_model(), "--reference", file});
    CHECK(other.code == 2);
    CHECK(contains(other.err, "vectors of 16 values, the model gives 48"));
}

TEST_CASE("verify: the bundled model gives what transformers gave") {
    const std::string root = YEOUL_SOURCE_DIR;
    const Outcome outcome = run({"verify", "--model", root + "/apps/demo/model", "--reference",
                                 root + "/tests/golden/demo/vectors.safetensors", "--photos",
                                 root + "/apps/demo/photos", "--threshold", "0.999999"});
    CHECK(outcome.code == 0);
}

TEST_CASE("compare: says whether an index must be computed anew, and why") {
    const Workplace place;
    const std::vector<float> rows{1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0};
    std::vector<float> turned = rows, longer = rows;
    turned[3] = 1;
    for (float& value : longer)
        value *= 2;
    const std::string old = vectors(place, "old.npy", rows);
    const Outcome same = run({"compare", old, vectors(place, "longer.npy", longer)});
    CHECK(same.code == 0);
    CHECK(contains(same.out, "must you re-index"));
    CHECK(contains(same.out, "no\n"));
    CHECK(contains(same.out, "2.0000"));
    const Outcome different = run({"compare", old, vectors(place, "turned.npy", turned)});
    CHECK(different.code == 6);
    CHECK(contains(different.out, "because the least cosine, 0.707107 of vector 2"));
    const Outcome dims =
        run({"compare", old, vectors(place, "dims.npy", rows, 4), "--format", "json"});
    CHECK(dims.code == 2); // 4 rows against 3
    const Outcome wide = run(
        {"compare", old, vectors(place, "wide.npy", std::vector<float>(8), 2), "--format", "json"});
    CHECK(wide.code == 6);
    CHECK(json::parse(wide.out)["reindex"] == true);
    CHECK(contains(json::parse(wide.out)["reasons"][0], "3 and 2 values"));
    CHECK(run({"compare", old}).code == 2);
    CHECK(run({"compare", old, place / "none.npy"}).code != 0);
}

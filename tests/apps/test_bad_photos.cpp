#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "tests/apps/program.h"
#include "tests/apps/workplace.h"

namespace fs = std::filesystem;
using namespace yeoul::test;
using nlohmann::json;

namespace {

std::string golden_image(const std::string& name) {
    std::ifstream in(YEOUL_SOURCE_DIR "/tests/golden/images/" + name, std::ios::binary);
    REQUIRE(in);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

} // namespace

TEST_CASE("bad photos: each gets its code and one sentence, and the good ones are answered") {
    const Workplace place;
    const std::string good = place.photo("good.ppm");
    place.write("empty.jpg", "");
    place.write("text.png", "this is no image at all, whatever its name says");
    const std::string bmp = golden_image("bmp_24.bmp");
    place.write("truncated.bmp", bmp.substr(0, bmp.size() / 2));
    place.write("mislabelled.jpg", bmp);
    place.write("huge.png", png_header_only(30000, 30000));
    struct Case {
        std::string path, code; // "" is answered
    };
    std::vector<Case> cases = {{good, ""},
                               {place / "empty.jpg", "bad_image"},
                               {place / "text.png", "bad_image"},
                               {place / "truncated.bmp", "bad_image"},
                               {place / "mislabelled.jpg", ""},
                               {place / "huge.png", "image_too_large"},
                               {place / "missing.jpg", "not_found"},
                               {place / "loop.jpg", "not_found"},
                               {good, ""}};
    fs::create_symlink("loop.jpg", place / "loop.jpg"); // nobody reads it, not even root
    if (::geteuid() == 0) {
        MESSAGE("skipped: a file without permissions, which root reads");
    } else {
        place.photo("secret.ppm");
        fs::permissions(place / "secret.ppm", fs::perms::none);
        cases.push_back({place / "secret.ppm", "not_found"});
    }
    std::vector<std::string> arguments = {"embed",    "--model", place.model(),
                                          "--format", "jsonl",   "--quiet"};
    for (const Case& one : cases)
        arguments.push_back(one.path);
    const Outcome outcome = run(arguments);
    CHECK(outcome.code == 5);
    const std::vector<std::string> rows = lines(outcome.out);
    REQUIRE(rows.size() == cases.size());
    for (size_t i = 0; i < rows.size(); ++i) {
        CAPTURE(rows[i]);
        const json row = json::parse(rows[i]);
        CHECK(row["path"] == cases[i].path);
        if (cases[i].code.empty()) {
            CHECK(row["embedding"].size() == kDim);
            continue;
        }
        CHECK(row["error"]["code"] == cases[i].code);
        const std::string message = row["error"]["message"];
        CHECK(!message.empty());
        CHECK(message.find('\n') == std::string::npos);
        CHECK(outcome.err.find(cases[i].path + ": " + cases[i].code + ": ") != std::string::npos);
    }
}

TEST_CASE("bad photos: --max-pixels refuses what has more") {
    const Workplace place;
    const std::string photo = place.photo("a.ppm", 1, 50, 40);
    auto code = [&](const char* limit) {
        return run({"embed", "--quiet", "--model", place.model(), photo, "--max-pixels", limit})
            .code;
    };
    CHECK(code("2000") == 0);
    CHECK(code("1999") == 5);
}

TEST_CASE("bad photos: a folder without any is said, not answered with nothing") {
    const Workplace place;
    fs::create_directory(place / "none");
    const Outcome outcome = run({"embed", "--model", place.model(), place / "none"});
    CHECK(outcome.code == 1);
    CHECK(outcome.err.find("no photo in '" + (place / "none") + "'") != std::string::npos);
    CHECK(lines(outcome.err).size() == 1);
}

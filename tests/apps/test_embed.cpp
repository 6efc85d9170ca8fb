#include <cmath>
#include <cstring>
#include <doctest/doctest.h>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "loader/safetensors.h"
#include "tests/apps/program.h"
#include "tests/apps/workplace.h"

namespace fs = std::filesystem;
using namespace yeoul::test;
using nlohmann::json;

namespace {

std::vector<std::string> embed(const Workplace& place, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"embed", "--quiet", "--model", place.model()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
}

/// The paths of a --format jsonl run, in order.
std::vector<std::string> paths(const Outcome& outcome) {
    std::vector<std::string> all;
    for (const std::string& line : lines(outcome.out))
        all.push_back(json::parse(line)["path"]);
    return all;
}

struct Npy {
    std::string header;
    std::vector<float> values;
};

Npy parse_npy(const std::string& bytes) {
    REQUIRE(bytes.size() >= 10);
    REQUIRE(bytes.substr(0, 6) == "\x93NUMPY");
    const size_t length = static_cast<uint8_t>(bytes[8]) + 256u * static_cast<uint8_t>(bytes[9]);
    Npy npy{bytes.substr(10, length), std::vector<float>((bytes.size() - 10 - length) / 4)};
    std::memcpy(npy.values.data(), bytes.data() + 10 + length, npy.values.size() * 4);
    return npy;
}

} // namespace

TEST_CASE("embed: prints a table of path, size, times and first values") {
    const Workplace place;
    const Outcome outcome = run(embed(place, {place.photo("a.ppm")}));
    CHECK(outcome.code == 0);
    CHECK(outcome.err == "");
    const std::vector<std::string> table = lines(outcome.out);
    REQUIRE(table.size() == 2);
    CHECK(table[0].starts_with("path"));
    CHECK(table[0].find("compute ms") != std::string::npos);
    CHECK(table[1].find("a.ppm") != std::string::npos);
    CHECK(table[1].find("48x40") != std::string::npos);
    CHECK(table[1].find("16  [") != std::string::npos);
}

TEST_CASE("embed: every format holds the same vectors, in input order") {
    const Workplace place;
    const std::string one = place.photo("one.ppm", 1), two = place.photo("two.ppm", 2);
    const Outcome jsonl = run(embed(place, {two, one, "--format", "jsonl"}));
    const Outcome whole = run(embed(place, {two, one, "--format", "json"}));
    const Outcome csv = run(embed(place, {two, one, "--format", "csv"}));
    REQUIRE(jsonl.code == 0);
    REQUIRE(whole.code == 0);
    REQUIRE(csv.code == 0);
    CHECK(paths(jsonl) == std::vector<std::string>{two, one});
    const json array = json::parse(whole.out);
    const std::vector<std::string> rows = lines(csv.out);
    REQUIRE(array.size() == 2);
    REQUIRE(rows.size() == 3);
    CHECK(rows[0].starts_with("path,error,message,v0,v1,"));
    for (size_t i = 0; i < 2; ++i) {
        const json line = json::parse(lines(jsonl.out)[i]);
        CHECK(line["embedding"].size() == kDim);
        CHECK(array[i] == line);
        CHECK(rows[i + 1].starts_with(line["path"].get<std::string>() + ",,,"));
        const auto first = line["embedding"][0].get<float>();
        CHECK(std::stof(rows[i + 1].substr(rows[i + 1].find(",,,") + 3)) == first);
    }
    CHECK(array[0]["embedding"] != array[1]["embedding"]);
}

TEST_CASE("embed: a folder is searched at any depth, by known extension, sorted bytewise") {
    const Workplace place;
    for (const char* name : {"in/b.ppm", "in/B.PPM", "in/a/z.ppm", "in/a.ppm", "in/a-1.ppm"})
        place.photo(name);
    place.write("in/notes.txt", "no photo");
    const std::string in = place / "in";
    const Outcome outcome = run(embed(place, {in, "--format", "jsonl"}));
    CHECK(outcome.code == 0);
    CHECK(paths(outcome) == std::vector<std::string>{in + "/B.PPM", in + "/a-1.ppm", in + "/a.ppm",
                                                     in + "/a/z.ppm", in + "/b.ppm"});
}

TEST_CASE("embed: links are not followed out of a folder, and a loop ends") {
    const Workplace place;
    place.photo("outside/o.ppm");
    place.photo("in/a.ppm");
    fs::create_symlink(place / "outside", place / "in/out");
    fs::create_symlink(place / "outside/o.ppm", place / "in/o.ppm");
    fs::create_symlink(place / "in", place / "in/loop");
    fs::create_symlink(place / "in/a.ppm", place / "in/same.ppm");
    const Outcome outcome = run(embed(place, {place / "in", "--format", "jsonl"}));
    CHECK(outcome.code == 0);
    CHECK(paths(outcome) == std::vector<std::string>{place / "in/a.ppm", place / "in/same.ppm"});
}

TEST_CASE("embed: a file named explicitly is answered whatever its extension") {
    const Workplace place;
    place.photo("photo.ppm");
    fs::rename(place / "photo.ppm", place / "photo.data");
    const Outcome outcome = run(embed(place, {place / "photo.data", "--format", "jsonl"}));
    CHECK(outcome.code == 0);
    CHECK(json::parse(outcome.out).contains("embedding"));
}

TEST_CASE("embed: - takes a list of paths from stdin") {
    const Workplace place;
    const std::string one = place.photo("one two.ppm"), two = place.photo("t/2.ppm", 2);
    const Outcome outcome = run_call(Call{.arguments = embed(place, {"-", "--format", "jsonl"}),
                                          .input = two + "\r\n\n" + one + "\n" + (place / "t")});
    CHECK(outcome.code == 0);
    CHECK(paths(outcome) == std::vector<std::string>{two, one, two});
}

TEST_CASE("embed: - takes a list separated by NUL, and refuses a photo") {
    const Workplace place;
    const std::string one = place.photo("line\nend.ppm"), two = place.photo("BMW.ppm", 2);
    auto given = [&](const std::string& input) {
        return run_call(
            Call{.arguments = embed(place, {"-", "--format", "jsonl"}), .input = input});
    };
    const Outcome outcome = given(one + std::string(1, '\0') + two + std::string(1, '\0'));
    CHECK(outcome.code == 0);
    CHECK(paths(outcome) == std::vector<std::string>{one, two});
    for (const std::string& photo : {png_header_only(1, 1), place.read("BMW.ppm")}) {
        const Outcome refused = given(photo);
        CHECK(refused.code == 2);
        CHECK(refused.err == "error: stdin looks like a photo; '-' expects a list of paths\n");
    }
}

TEST_CASE("embed: when every photo fails there is no table, and a name cannot break a line") {
    const Workplace place;
    const Outcome outcome = run(embed(place, {place / "a\x1b\nb.ppm"}));
    CHECK(outcome.code == 5);
    CHECK(outcome.out == "");
    CHECK(lines(outcome.err).size() == 2);
    CHECK(outcome.err.find("a\\x1b\\nb.ppm: not_found") != std::string::npos);
}

TEST_CASE("embed: more paths than a .safetensors header takes are refused before the work") {
    const Workplace place;
    const std::string path(4000, '"'); // four bytes each in the header
    std::string list;
    for (int i = 0; i < 6300; ++i)
        list += path + '\n';
    const Outcome outcome = run_call(
        Call{.arguments = embed(place, {"-", "--output", place / "v.safetensors"}), .input = list});
    CHECK(outcome.code == 2);
    CHECK(outcome.err.find("--shard") != std::string::npos);
    CHECK(!fs::exists(place / "v.safetensors"));
}

TEST_CASE("embed: shards are consecutive parts that make up the whole") {
    const Workplace place;
    for (int i = 0; i < 7; ++i)
        place.photo("in/" + std::to_string(i) + ".ppm", i);
    std::string parts;
    for (const char* shard : {"1/3", "2/3", "3/3"}) {
        const Outcome part =
            run(embed(place, {place / "in", "--format", "jsonl", "--shard", shard}));
        CHECK(part.code == 0);
        parts += part.out;
    }
    CHECK(parts == run(embed(place, {place / "in", "--format", "jsonl"})).out);
    for (const char* wrong : {"0/3", "4/3", "1", "1/", "a/b", "1/3x", "1/1000001"}) {
        const Outcome outcome = run(embed(place, {place / "in", "--shard", wrong}));
        CHECK(outcome.code == 2);
        CHECK(outcome.err.find("--shard is '" + std::string(wrong) + "'") != std::string::npos);
    }
}

TEST_CASE("embed: an album larger than the windows in flight comes back whole and in order") {
    const Workplace place;
    std::string list;
    std::vector<std::string> expected;
    for (int i = 0; i < 5; ++i)
        place.photo(std::to_string(i) + ".ppm", i);
    for (int i = 0; i < 331; ++i) {
        expected.push_back(place / (std::to_string(i * i % 5) + ".ppm"));
        list += expected.back() + "\n";
    }
    const Outcome outcome =
        run_call(Call{.arguments = embed(
                          place, {"-", "--format", "jsonl", "--batch-size", "3", "--streams", "2"}),
                      .input = list});
    REQUIRE(outcome.code == 0);
    CHECK(paths(outcome) == expected);
    const std::vector<std::string> rows = lines(outcome.out);
    // Photos 0 and 5 of the list are the same file, in other windows and batches.
    CHECK(rows[0] == rows[5]);
    CHECK(rows[0] == rows[330]);
}

TEST_CASE("embed: --normalize gives unit vectors, and --no-normalize takes it back") {
    const Workplace place;
    const std::string photo = place.photo("a.ppm");
    auto norm = [&](std::vector<std::string> flags, std::vector<std::string> environment) {
        flags.insert(flags.end(), {photo, "--format", "jsonl"});
        const Outcome outcome =
            run_call(Call{.arguments = embed(place, flags), .environment = environment});
        REQUIRE(outcome.code == 0);
        const json row = json::parse(outcome.out);
        REQUIRE(row["embedding"].size() == kDim);
        double sum = 0;
        for (double value : row["embedding"])
            sum += value * value;
        return std::sqrt(sum);
    };
    // 16 float roundings of unit size
    CHECK(norm({"--normalize"}, {}) == doctest::Approx(1).epsilon(1e-6));
    CHECK(norm({}, {"YEOUL_NORMALIZE=1"}) == doctest::Approx(1).epsilon(1e-6));
    CHECK(std::abs(norm({}, {}) - 1) > 1e-3);
    CHECK(std::abs(norm({"--no-normalize"}, {"YEOUL_NORMALIZE=1"}) - 1) > 1e-3);
}

TEST_CASE("embed: --output writes .npy with a row of NaN for a failed photo") {
    const Workplace place;
    const std::string good = place.photo("good.ppm");
    const std::string file = place / "v.npy";
    const Outcome outcome = run(embed(place, {place / "missing.ppm", good, "--output", file}));
    CHECK(outcome.code == 5);
    CHECK(outcome.out == "");
    CHECK(outcome.err.find("missing.ppm: not_found: ") != std::string::npos);
    CHECK(outcome.err.find("1 of 2 photos failed") != std::string::npos);
    const Npy npy = parse_npy(place.read("v.npy"));
    CHECK(npy.header.find("'shape': (2, 16)") != std::string::npos);
    CHECK(npy.header.find("<f4") != std::string::npos);
    REQUIRE(npy.values.size() == 2 * kDim);
    const json expected =
        json::parse(run(embed(place, {good, "--format", "jsonl"})).out)["embedding"];
    for (size_t i = 0; i < kDim; ++i) {
        CHECK(std::isnan(npy.values[i]));
        CHECK(npy.values[kDim + i] == expected[i].get<float>());
    }
}

TEST_CASE("embed: --output writes .safetensors with the paths, and .jsonl") {
    const Workplace place;
    const std::string good = place.photo("a \"quoted\" \xED\x95\x9C.ppm");
    const Outcome outcome = run(embed(place, {good, "--output", place / "v.safetensors"}));
    REQUIRE(outcome.code == 0);
    const auto file = yeoul::loader::Safetensors::open_file(place / "v.safetensors");
    const auto* tensor = file.find("image_embeds");
    REQUIRE(tensor);
    CHECK(tensor->dtype == "F32");
    CHECK(tensor->shape == std::vector<int64_t>{1, kDim});
    CHECK(json::parse(file.metadata().at("paths")) == json::array({good}));

    const Outcome both =
        run(embed(place, {good, "--output", place / "v.jsonl", "--format", "jsonl"}));
    CHECK(both.code == 0);
    CHECK(place.read("v.jsonl") == both.out);
}

TEST_CASE("embed: an output that cannot be written is refused before the work") {
    const Workplace place;
    const std::string photo = place.photo("a.ppm");
    fs::create_directory(place / "folder.npy");
    for (const char* name :
         {"missing/v.npy", "missing/v.safetensors", "missing/v.jsonl", "folder.npy"}) {
        const Outcome outcome = run(embed(place, {photo, "--output", place / name}));
        CHECK(outcome.code == 1);
        CHECK(lines(outcome.err).size() == 1);
        CHECK(outcome.err.starts_with("error: "));
    }
    const Outcome extension = run(embed(place, {photo, "--output", place / "v.txt"}));
    CHECK(extension.code == 2);
    CHECK(extension.err.find(".npy, .safetensors or .jsonl") != std::string::npos);
}

TEST_CASE("embed: nothing but results goes to stdout, and no escape codes without a terminal") {
    const Workplace place;
    const Outcome outcome = run({"embed", "--model", place.model(), place.photo("a.ppm"),
                                 "--format", "jsonl", "--verbose"});
    CHECK(outcome.code == 0);
    CHECK(lines(outcome.out).size() == 1);
    CHECK(outcome.err.find("1 photo in ") != std::string::npos);
    CHECK(outcome.err.find('\x1b') == std::string::npos);
    CHECK(outcome.err.find('\r') == std::string::npos);
}

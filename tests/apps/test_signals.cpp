#include <csignal>
#include <doctest/doctest.h>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <sys/stat.h>

#include "tests/apps/program.h"
#include "tests/apps/workplace.h"

namespace fs = std::filesystem;
using namespace yeoul::test;

namespace {

// Far more than are finished before the signal arrives.
constexpr int kPhotos = 20000;

Call long_run(const Workplace& place, std::vector<std::string> more) {
    const std::string photo = place.photo("a.ppm");
    std::string list;
    for (int i = 0; i < kPhotos; ++i)
        list += photo + '\n';
    Call call{.arguments = {"embed", "-", "--quiet", "--model", place.model(), "--format", "jsonl"},
              .input = list};
    call.arguments.insert(call.arguments.end(), more.begin(), more.end());
    return call;
}

} // namespace

TEST_CASE("signals: the first stops with what is finished written") {
    const Workplace place;
    for (const int number : {SIGINT, SIGTERM}) {
        Running program(long_run(place, {"--output", place / "v.npy"}));
        std::string first;
        REQUIRE(program.read_line(first));
        program.signal(number);
        const Outcome outcome = program.finish();
        CHECK(outcome.code == 128 + number);
        const std::vector<std::string> rows = lines(outcome.out);
        CHECK(rows.size() + 1 < kPhotos);
        for (const std::string& row : rows)
            CHECK(nlohmann::json::parse(row)["embedding"].size() == kDim);
        const std::string npy = place.read("v.npy");
        CHECK(npy.find("(" + std::to_string(rows.size() + 1) + ", 16)") < 128);
    }
}

TEST_CASE("signals: the first ends a program that still waits for its list") {
    const Workplace place;
    for (const int number : {SIGINT, SIGTERM}) {
        Call call = long_run(place, {});
        call.hold_input = true; // it has read most of the list when this returns
        Running program(call);
        program.signal(number);
        CHECK(program.wait() == 128 + number);
    }
}

TEST_CASE("signals: before the first photo the output stays what it was") {
    const Workplace place;
    place.write("out/v.jsonl", "good");
    Running program(long_run(place, {"--output", place / "out/v.jsonl"}));
    const auto files = [&] {
        return std::distance(fs::directory_iterator(place / "out"), fs::directory_iterator());
    };
    while (files() < 2) // the model is loaded once the output is known to be writable
        ::sched_yield();
    program.signal(SIGTERM);
    const Outcome outcome = program.finish();
    CHECK(outcome.code == 128 + SIGTERM);
    CHECK(files() == 1);
    if (outcome.out.empty()) {
        CHECK(outcome.err ==
              "warning: stopped by a signal: 0 of 20,000 photos done, nothing written\n");
        CHECK(place.read("out/v.jsonl") == "good");
    } else { // on a busy machine the signal may be late
        CHECK(place.read("out/v.jsonl") == outcome.out);
    }
}

TEST_CASE("signals: after a stop the rows are a prefix of the input, with two streams too") {
    const Workplace place;
    std::vector<std::string> given;
    std::string list;
    for (int i = 0; i < kPhotos; ++i) {
        given.push_back(place / (std::to_string(i) + ".ppm"));
        list += given.back() + '\n';
    }
    Call call = long_run(place, {"--streams", "2", "--batch-size", "1"});
    call.input = list; // missing ones are answered as well
    Running program(call);
    std::string first;
    REQUIRE(program.read_line(first));
    program.signal(SIGTERM);
    const Outcome outcome = program.finish();
    CHECK(outcome.code == 128 + SIGTERM);
    CHECK(outcome.err.find("stopped by a signal: ") != std::string::npos);
    const std::vector<std::string> rows = lines(outcome.out);
    REQUIRE(rows.size() + 1 < given.size());
    for (size_t i = 0; i < rows.size(); ++i)
        CHECK(nlohmann::json::parse(rows[i])["path"] == given[i + 1]);
}

TEST_CASE("signals: synth leaves nothing behind") {
    const Workplace place;
    place.write("made/keep", "");
    Running program(Call{.arguments = {"synth", "--arch", "clip-vit-large-patch14", "--output",
                                       place / "made/model"}});
    const auto drawing = [&] {
        for (const auto& entry : fs::recursive_directory_iterator(place / "made"))
            if (entry.path().filename() == "model.safetensors")
                return true;
        return false;
    };
    while (!drawing())
        ::sched_yield();
    program.signal(SIGINT);
    const Outcome outcome = program.finish();
    CHECK(outcome.code == 130);
    CHECK(outcome.err == "warning: stopped by a signal; nothing was written\n");
    for (const auto& entry : fs::directory_iterator(place / "made"))
        CHECK(entry.path().filename() == "keep");
}

TEST_CASE("signals: the second ends the program at once") {
    const Workplace place;
    // Nobody reads its output, so that it blocks and could not end by itself.
    Running program(long_run(place, {}));
    std::string first;
    REQUIRE(program.read_line(first));
    program.signal(SIGINT);
    program.wait_until_taken(SIGINT);
    program.signal(SIGINT);
    CHECK(program.wait() == 130);
}

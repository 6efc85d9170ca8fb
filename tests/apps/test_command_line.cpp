#include <dlfcn.h>
#include <doctest/doctest.h>
#include <filesystem>

#include "tests/apps/program.h"
#include "tests/apps/workplace.h"
#include "tests/support/text.h"

using namespace yeoul::test;

namespace {

void check_usage_error(const Outcome& outcome, const std::string& part) {
    CAPTURE(outcome.err);
    CHECK(outcome.code == 2);
    CHECK(outcome.out == "");
    CHECK(lines(outcome.err).size() == 1);
    CHECK(outcome.err.starts_with("error: "));
    CHECK(contains(outcome.err, part));
}

} // namespace

TEST_CASE("command line: an unknown flag gets the nearest one") {
    check_usage_error(run({"embed", "--batchsize", "3", "x"}), "did you mean '--batch-size'?");
    check_usage_error(run({"embed", "--ouput=x.npy", "x"}), "did you mean '--output'?");
    check_usage_error(run({"inspect", "--modle", "x"}), "did you mean '--model'?");
    check_usage_error(run({"embed", "--zzzzzzzzzzzz", "x"}), "unknown flag '--zzzzzzzzzzzz'");
    check_usage_error(run({"embed", "-q", "x"}), "unknown flag '-q'");
}

TEST_CASE("command line: an unknown command gets the nearest one and the list") {
    check_usage_error(run({"embbed", "x"}), "did you mean 'embed'?");
    check_usage_error(
        run({"embbed", "x"}),
        "embed, tag, duplicates, inspect, plan, verify, compare, synth, tune, doctor");
    // Commands of later versions are not there yet.
    check_usage_error(run({"classify", "x"}), "unknown command 'classify'");
    check_usage_error(run_call(Call{.program = "engine-bench", .arguments = {"server"}}),
                      "did you mean 'serve'?");
}

TEST_CASE("command line: values that do not fit are named with what fits") {
    check_usage_error(run({"embed", "x", "--batch-size", "0"}), "--batch-size is '0'");
    check_usage_error(run({"embed", "x", "--batch-size", "3x"}), "--batch-size is '3x'");
    check_usage_error(run({"embed", "x", "--streams", "5"}), "from 1 to 4");
    check_usage_error(run({"embed", "x", "--format", "jsonn"}), "did you mean 'json'?");
    check_usage_error(run({"embed", "x", "--precision", "fp8"}), "auto, fp32, bf16 or fp16");
    check_usage_error(run({"embed", "x", "--quiet", "--verbose"}), "exclude each other");
    check_usage_error(run({"embed", "x", "--normalize", "--no-normalize"}), "exclude each other");
    check_usage_error(run({"embed", "x", "--model"}), "--model");
    check_usage_error(run({"embed"}), "PATH... is missing");
    check_usage_error(run({"inspect", "extra"}), "unexpected argument 'extra'");
}

TEST_CASE("command line: every flag has a variable, and the command line wins over it") {
    const Workplace place;
    const std::string photo = place.photo("a.ppm");
    const std::vector<std::string> variables = {"YEOUL_MODEL=" + place.model(), "YEOUL_FORMAT=csv",
                                                "YEOUL_QUIET=1"};
    const Outcome csv = run_call(Call{.arguments = {"embed", photo}, .environment = variables});
    CHECK(csv.code == 0);
    CHECK(csv.out.starts_with("path,error,"));
    CHECK(csv.err == "");
    const Outcome table = run_call(
        Call{.arguments = {"embed", photo, "--format", "table"}, .environment = variables});
    CHECK(table.out.starts_with("path "));
    check_usage_error(
        run_call(Call{.arguments = {"embed", photo}, .environment = {"YEOUL_BATCH_SIZE=many"}}),
        "YEOUL_BATCH_SIZE is 'many'");
    check_usage_error(
        run_call(Call{.arguments = {"embed", photo}, .environment = {"YEOUL_QUIET=maybe"}}),
        "YEOUL_QUIET is 'maybe'");
}

TEST_CASE("command line: a flag wins over the variable of one that it excludes") {
    const Workplace place;
    const std::string photo = place.photo("a.ppm");
    const auto with = [&](std::vector<std::string> variables, std::vector<std::string> arguments,
                          const std::string& program = "engine-run") {
        return run_call(Call{.program = program, .arguments = arguments, .environment = variables});
    };
    const std::vector<std::string> embed = {"embed", photo, "--model", place.model()};
    const auto embed_with = [&](const std::string& flag) {
        std::vector<std::string> arguments = embed;
        arguments.push_back(flag);
        return arguments;
    };
    const Outcome verbose = with({"YEOUL_QUIET=1"}, embed_with("--verbose"));
    CHECK(verbose.code == 0);
    CHECK(contains(verbose.err, "ready in"));
    const Outcome quiet = with({"YEOUL_VERBOSE=1"}, embed_with("--quiet"));
    CHECK(quiet.code == 0);
    CHECK(quiet.err == "");
    check_usage_error(with({"YEOUL_VERBOSE=1", "YEOUL_QUIET=1"}, embed), "exclude each other");

    const Outcome arch =
        with({"YEOUL_MODEL=" + place.model()}, {"model", "--arch", "none"}, "engine-bench");
    check_usage_error(arch, "'none'");
    const Outcome model =
        with({"YEOUL_ARCH=none"},
             {"model", "--model", place.model(), "--batches", "1", "--repetitions", "1"},
             "engine-bench");
    CHECK(model.code == 0);

    const std::vector<std::string> duplicates = {"duplicates", photo, "--model", place.model()};
    CHECK(with({"YEOUL_VECTORS=nowhere.npy"}, duplicates).code == 0);
    const std::string vectors = place / "vectors.npy";
    CHECK(run({"embed", photo, "--model", place.model(), "--output", vectors}).code == 0);
    CHECK(
        with({"YEOUL_OUTPUT=" + (place / "new.npy")}, {"duplicates", "--vectors", vectors}).code ==
        0);

    const Outcome labels = with({"YEOUL_LABELS_FILE=nowhere.txt"},
                                {"tag", photo, "--labels", "cat,dog", "--model",
                                 YEOUL_SOURCE_DIR "/tests/golden/clip_text/quick-gelu-77"});
    CHECK(labels.code == 0);
}

TEST_CASE("command line: a switch takes no value, and a flag without its value says so") {
    check_usage_error(run({"embed", "--normalize=0", "x"}), "--normalize takes no value");
    check_usage_error(run({"embed", "--no-normalize=x", "x"}), "--no-normalize takes no value");
    check_usage_error(run({"embed", "--help=1"}), "--help takes no value");
    check_usage_error(run({"embed", "x", "--model"}), "--model needs a value; see");
    check_usage_error(run({"--verison"}), "did you mean '--version'?");
    check_usage_error(run({"-V"}), "did you mean '--version'?");
}

TEST_CASE("command line: a variable meant for another command does not break this one") {
    const Workplace place;
    const Outcome inspect =
        run_call(Call{.arguments = {"inspect", "--quiet", "--model", place.model()},
                      .environment = {"YEOUL_FORMAT=csv"}});
    CHECK(inspect.code == 0);
    CHECK(inspect.err == "warning: YEOUL_FORMAT is 'csv', must be table or json; ignored\n");
    check_usage_error(run_call(Call{.arguments = {"synth", "--arch", "clip-vit-base-patch32"},
                                    .environment = {"YEOUL_OUTPUT=" + (place / "new")}}),
                      "--output is missing");
}

TEST_CASE("command line: help goes to stdout with variables and examples") {
    const Outcome program = run({"--help"});
    CHECK(program.code == 0);
    for (const char* command : {"embed", "inspect", "synth", "doctor"})
        CHECK(contains(program.out, command));
    const Outcome embed = run({"embed", "--help"});
    CHECK(embed.code == 0);
    CHECK(embed.err == "");
    for (const char* part : {"PATH...", "--batch-size N", "YEOUL_BATCH_SIZE", "--[no-]normalize",
                             "table|json|jsonl|csv", "engine-run embed photos/"})
        CHECK(contains(embed.out, part));
    for (const std::string& line : lines(embed.out))
        CHECK(line.size() <= 100);
    const Outcome nothing = run(std::vector<std::string>{});
    CHECK(nothing.code == 2);
    CHECK(nothing.out == "");
    CHECK(contains(nothing.err, "usage: engine-run COMMAND"));
}

TEST_CASE("command line: --version names the libraries") {
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"--version"}, std::vector<std::string>{"embed", "--version"}}) {
        const Outcome outcome = run(arguments);
        CHECK(outcome.code == 0);
        CHECK(outcome.out.starts_with("engine-run "));
        CHECK(contains(outcome.out, "oneDNN "));
    }
}

TEST_CASE("command line: a path that looks like a flag stands behind --") {
    const Workplace place;
    place.photo("--odd.ppm");
    const Outcome outcome =
        run_call(Call{.arguments = {"embed", "--quiet", "--model", place.model(), "--format",
                                    "jsonl", "--", "--odd.ppm"},
                      .folder = place / ""});
    CHECK(outcome.code == 0);
    CHECK(outcome.out.starts_with("{\"path\": \"--odd.ppm\", \"embedding\": ["));
}

TEST_CASE("programs: wait shortly in OpenMP, unless the environment decides") {
    if (::dlopen("libgomp.so.1", RTLD_NOW | RTLD_NOLOAD) == nullptr) {
        MESSAGE("skipped: oneDNN came with another OpenMP than libgomp");
        return;
    }
    for (const std::string program : {"engine-run", "engine-bench", "engine-serve"}) {
        CAPTURE(program);
        const auto told = [&](const std::string& variable) { // libgomp tells at its start
            return run_call(Call{.program = program,
                                 .arguments = {"--version"},
                                 .environment = {"OMP_DISPLAY_ENV=verbose", variable}})
                .err;
        };
        CHECK(contains(told("NOTHING="), "GOMP_SPINCOUNT = '5000'"));
        CHECK(contains(told("GOMP_SPINCOUNT=77"), "GOMP_SPINCOUNT = '77'"));
        CHECK_FALSE(contains(told("OMP_WAIT_POLICY=active"), "GOMP_SPINCOUNT = '5000'"));
    }
}

TEST_CASE("programs: run under an explicit loader") {
    const std::string loader = "/lib64/ld-linux-x86-64.so.2"; // the ABI's name
    if (!std::filesystem::exists(loader)) {
        MESSAGE("skipped: no " << loader);
        return;
    }
    for (const std::string program : {"engine-run", "engine-bench", "engine-serve"}) {
        const Outcome outcome = run_call(Call{
            .program = loader, .arguments = {YEOUL_BINARY_DIR "/bin/" + program, "--version"}});
        CHECK(outcome.code == 0);
        CHECK(outcome.out.starts_with(program + " "));
    }
}

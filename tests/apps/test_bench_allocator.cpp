#include <map>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/apps/program.h"
#include "tests/apps/workplace.h"

using namespace yeoul::test;
using nlohmann::json;

namespace {

Outcome bench_allocator(std::vector<std::string> arguments,
                        std::vector<std::string> environment = {}) {
    std::vector<std::string> all = {"allocator", "--repetitions", "1", "--pairs", "100"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_call(Call{.program = "engine-bench",
                         .arguments = std::move(all),
                         .input = "",
                         .environment = std::move(environment)});
}

} // namespace

TEST_CASE("bench: allocator replays its traces within a share of what was asked for") {
    const Outcome outcome = bench_allocator({"--format", "json"});
    REQUIRE(outcome.code == 0);
    const json report = json::parse(outcome.out);
    int seen = 0;
    for (const json& measurement : report["measurements"])
        if (measurement["key"]["what"] == "trace" && measurement["key"]["by"] == "yeoul") {
            ++seen;
            const json& values = measurement["values"];
            // On a GPU a day of the smallest model, with a page of 2 MiB for each of its pools.
            const bool small = measurement["key"]["size"] == "cuda-small.trace";
            CHECK(values["fragmentation %"].get<double>() <= (small ? 10.0 : 5.0));
            CHECK(values["peak reserved MiB"] > values["peak asked MiB"]);
            CHECK(values["left after"] == 0);
        }
    CHECK(seen == 3);
}

TEST_CASE("bench: allocator prints tables, and names the line of a bad trace") {
    const Workplace place;
    place.write("good.trace", "# a comment\na 0 1000 weights 0\nf 0\n");
    const Outcome good = bench_allocator({"--trace", place / "good.trace"});
    CHECK(good.code == 0);
    CHECK(good.out.find("median ns") != std::string::npos);
    for (const char* line : {"a 1 10 labels", "a 1 10 cake 0", "a 1 0 labels 0", "a 7 10 labels 0",
                             "a 1 10 labels 64", "f 0", "f 9", "x 1"}) {
        place.write("bad.trace", std::string("a 0 1000 weights 0\nf 0\n") + line + "\n");
        const Outcome bad = bench_allocator({"--trace", place / "bad.trace"});
        CHECK(bad.code == 2);
        CHECK(bad.err.find("line 3") != std::string::npos);
    }
    CHECK(bench_allocator({"--trace", place / "missing"}).code == 2);
}

TEST_CASE("bench: allocator is measured beside the driver's pool and PyTorch's") {
    const Workplace place;
    place.write("short.trace", "a 0 1000 weights 0\na 1 7000 labels 1\nf 0\nf 1\n");
    const std::string torch = YEOUL_FAKE_ALLOCATORS "/libcuda.so.1";
    const auto on_gpu = [&](std::vector<std::string> environment) {
        environment.push_back("YEOUL_CUDA_LIBRARY=" YEOUL_EMULATED_CUDA);
        return bench_allocator({"--device", "cuda", "--torch", torch, "--format", "json", "--trace",
                                place / "short.trace"},
                               std::move(environment));
    };
    const std::string fakes = "LD_LIBRARY_PATH=" YEOUL_FAKE_ALLOCATORS;
    const Outcome all = on_gpu({fakes});
    CAPTURE(all.err);
    REQUIRE(all.code == 0);
    std::map<std::string, int> seen;
    const json report = json::parse(all.out);
    for (const json& measurement : report["measurements"])
        if (measurement["key"]["what"] != "two threads")
            ++seen[measurement["key"]["by"]];
    // Two sizes and a trace; of the own one also its hits alone.
    CHECK(seen == std::map<std::string, int>{{"yeoul", 5},
                                             {"malloc", 3},
                                             {"cudaMalloc", 3},
                                             {"cudaMallocAsync", 3},
                                             {"PyTorch", 3}});

    const Outcome no_torch = on_gpu({fakes, "YEOUL_TEST_TORCH=none"});
    CHECK(no_torch.code == 4);
    CHECK(no_torch.err.find("making a tensor of PyTorch on the GPU failed") != std::string::npos);
    CHECK(bench_allocator({"--torch", "/no/such/libtorch_cuda.so"}).code == 4);
}

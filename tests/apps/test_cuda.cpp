// The programs and libyeoul_cuda.so: what is said when it, the driver or the GPU cannot serve, and
// photos through an emulated GPU.
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>

#include "tests/apps/program.h"
#include "tests/apps/workplace.h"

using namespace yeoul::test;
using nlohmann::json;

namespace {

Outcome run_with(const std::string& library, const std::string& trouble,
                 std::vector<std::string> arguments) {
    Call call;
    call.arguments = std::move(arguments);
    call.environment = {"YEOUL_CUDA_LIBRARY=" + library, "YEOUL_TEST_CUDA=" + trouble};
    return run_call(call);
}

std::vector<float> vector_of(const Outcome& outcome) {
    REQUIRE(outcome.code == 0);
    return json::parse(outcome.out)["embedding"].get<std::vector<float>>();
}

} // namespace

TEST_CASE("cuda: what cannot serve is said with its fix; auto goes on with the CPU, cuda exits 4") {
    const Workplace place;
    const std::string photo = place.photo("a.ppm");
    struct Case {
        std::string library, trouble, what, fix;
        bool warns;
    };
    for (const Case& c : std::vector<Case>{
             {"none", "", "not installed", "none needed", false},
             {"/nowhere/libyeoul_cuda.so", "", "/nowhere/libyeoul_cuda.so", "LD_LIBRARY_PATH",
              true},
             {YEOUL_EMULATED_CUDA, "other_build", "another build", "one version", true},
             {YEOUL_EMULATED_CUDA, "no_driver", "no NVIDIA driver", "install a driver", false},
             {YEOUL_EMULATED_CUDA, "old_driver", "CUDA 12.4, this build needs 13.0",
              "cuda-compat-13-0", true},
             {YEOUL_EMULATED_CUDA, "no_gpu", "no GPU", "CUDA_VISIBLE_DEVICES", true},
             {YEOUL_EMULATED_CUDA, "old_gpu", "Tesla V100 is sm_70", "T4", true},
             {YEOUL_EMULATED_CUDA, "no_kernel", "cudaErrorNoKernelImageForDevice",
              "YEOUL_CUDA_ARCHITECTURES", true},
             {YEOUL_EMULATED_CUDA, "new_ptx", "cudaErrorUnsupportedPtxVersion",
              "update the NVIDIA driver", true},
             {YEOUL_EMULATED_CUDA, "busy_gpu", "cudaErrorDevicesUnavailable",
              "what else uses the GPU", true},
         }) {
        CAPTURE(c.library);
        CAPTURE(c.trouble);
        const Outcome asked = run_with(
            c.library, c.trouble, {"embed", photo, "--model", place.model(), "--device", "cuda"});
        CAPTURE(asked.err);
        CHECK(asked.code == 4);
        CHECK(asked.err.find(c.what) != std::string::npos);
        CHECK(asked.err.find("take --device cpu") != std::string::npos);
        const Outcome automatic =
            run_with(c.library, c.trouble, {"embed", photo, "--model", place.model()});
        CAPTURE(automatic.err);
        CHECK(automatic.code == 0);
        CHECK((automatic.err.find("going on with the CPU") != std::string::npos) == c.warns);
        const Outcome doctor = run_with(c.library, c.trouble, {"doctor", "--model", place.model()});
        CHECK(doctor.code == 0);
        CHECK(doctor.out.find(c.what) != std::string::npos);
        CHECK(doctor.out.find(c.fix) != std::string::npos);
    }
    const Outcome second = run_with(
        YEOUL_EMULATED_CUDA, "", {"embed", photo, "--model", place.model(), "--device", "cuda:1"});
    CHECK(second.code == 4);
    CHECK(second.err.find("no CUDA device 1") != std::string::npos);
}

TEST_CASE("cuda: doctor examines the GPU that it is asked for") {
    const Workplace place;
    const auto doctor = [&](const std::string& device) {
        return run_with(YEOUL_EMULATED_CUDA, "old_second",
                        {"doctor", "--model", place.model(), "--device", device});
    };
    const Outcome old = run_with(YEOUL_EMULATED_CUDA, "old_driver",
                                 {"doctor", "--model", place.model(), "--device", "cuda"});
    CHECK(old.code == 4); // asked for, it fails, and what mends it is said
    CHECK(old.out.find("cuda-compat-13-0") != std::string::npos);
    Call eager;
    eager.arguments = {"doctor", "--model", place.model()};
    eager.environment = {std::string("YEOUL_CUDA_LIBRARY=") + YEOUL_EMULATED_CUDA,
                         "YEOUL_TEST_CUDA=", "CUDA_MODULE_LOADING=EAGER"};
    CHECK(run_call(eager).out.find("unset CUDA_MODULE_LOADING") != std::string::npos);
    const Outcome first = doctor("cuda:0"), second = doctor("cuda:1"), third = doctor("cuda:2");
    CAPTURE(first.out);
    CHECK(first.code == 0);
    CHECK(first.out.find("self-test cuda:0") != std::string::npos);
    CAPTURE(second.out);
    CHECK(second.code == 4);
    CHECK(second.out.find("device cuda:1") != std::string::npos);
    CHECK(second.out.find("Tesla V100 is sm_70") != std::string::npos);
    CHECK(third.code == 4);
    CHECK(third.out.find("no CUDA device 2") != std::string::npos);
}

TEST_CASE("cuda: photos through an emulated GPU have the CPU's vectors within fp16") {
    const Workplace place;
    const std::string photo = place.photo("a.ppm");
    const auto embed = [&](const std::string& device) {
        return vector_of(run_with(YEOUL_EMULATED_CUDA, "",
                                  {"embed", photo, "--model", place.model(), "--device", device,
                                   "--batch-size", "2", "--format", "jsonl"}));
    };
    const std::vector<float> gpu = embed("cuda"), cpu = embed("cpu");
    CHECK(embed("auto") == gpu);
    REQUIRE(gpu.size() == cpu.size());
    double dot = 0, gpu_squares = 0, cpu_squares = 0;
    for (size_t i = 0; i < cpu.size(); ++i) {
        dot += double{gpu[i]} * cpu[i];
        gpu_squares += double{gpu[i]} * gpu[i];
        cpu_squares += double{cpu[i]} * cpu[i];
    }
    CHECK(dot / std::sqrt(gpu_squares * cpu_squares) >= 0.99999);
    CHECK(gpu != cpu); // it was another device
    CHECK(run_with(YEOUL_EMULATED_CUDA, "", {"doctor", "--model", place.model()}).code == 0);
}

TEST_CASE("cuda: tune keeps a readable table, which the next start reads; a broken one is said") {
    const Workplace place;
    const std::string photo = place.photo("a.ppm");
    const auto run_here = [&](std::vector<std::string> arguments) {
        Call call;
        call.arguments = std::move(arguments);
        call.environment = {std::string("YEOUL_CUDA_LIBRARY=") + YEOUL_EMULATED_CUDA,
                            "YEOUL_TEST_CUDA=", "YEOUL_CACHE_DIR=" + (place / "cache")};
        return run_call(call);
    };
    const std::vector<std::string> device = {"--model", place.model(),  "--device",
                                             "cuda",    "--batch-size", "1"};
    const auto with = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.end(), device.begin(), device.end());
        return run_here(arguments);
    };
    CHECK(with({"inspect"}).out.find("predicted") != std::string::npos);
    const std::string heading = "yeoul-gemm-table 1\n";
    place.write("cache/gemm-sm_75-emulated-t4.txt",
                heading + "75 none 7 77 777 none 64x64x32 predicted\n");
    // Times of batches with other products, of this device and another one.
    const std::string times = "cache/buckets-vit-1x2x3-cuda-sm_75-emulated-t4-fp16-to64.txt";
    const std::string elsewhere = "cache/buckets-vit-1x2x3-cuda-sm_75-tesla-t4-fp16-to64.txt";
    place.write(times, "");
    place.write(elsewhere, "");
    const Outcome tuned = with({"tune"});
    CAPTURE(tuned.err);
    REQUIRE(tuned.code == 0);
    CHECK(tuned.err.find("gemm-sm_75-emulated-t4.txt") != std::string::npos);
    CHECK(tuned.out == place.read("cache/gemm-sm_75-emulated-t4.txt"));
    CHECK(tuned.out.find(" 777 ") != std::string::npos); // a row of another model
    CHECK_FALSE(std::filesystem::exists(place / times));
    CHECK(std::filesystem::exists(place / elsewhere));
    const Outcome inspect = with({"inspect"});
    CHECK(inspect.out.find("measured") != std::string::npos);

    place.write("cache/gemm-sm_75-emulated-t4.txt", "75 nonsense\n");
    const Outcome broken = with({"embed", photo});
    CHECK(broken.code == 0);
    CHECK(broken.err.find("gemm-sm_75-emulated-t4.txt") != std::string::npos);
    CHECK(broken.err.find("engine-run tune") != std::string::npos);

    Call cpu;
    cpu.arguments = {"tune", "--model", place.model(), "--device", "cpu"};
    CHECK(run_call(cpu).err.find("nothing to tune") != std::string::npos);
}

// What the driver says of a GPU, by an NVML that is made up.
#include <cstdlib>
#include <dlfcn.h>
#include <nlohmann/json.hpp>

#include "apps/serve/service/gpu_monitor.h"
#include "tests/serve/served.h"

using namespace yeoul;
using namespace yeoul::serve;
using namespace yeoul::test;
using nlohmann::json;

namespace {

constexpr const char* kAddress = "00000000:00:1e.0";

ServiceOptions with_library(std::string path) {
    ServiceOptions options = clip_options();
    options.nvml = std::move(path);
    return options;
}

/// A service on a GPU.
struct OnGpu {
    FakeEngine engine;
    Service service;
    explicit OnGpu(ServiceOptions options, std::string address = kAddress)
        : service(std::move(options)) {
        engine.be_a_gpu(std::move(address));
        service.open(engine);
    }
};

double value_of(Service& service, const std::string& series) {
    const std::string text = "\n" + ask(service, "GET", "/metrics").body;
    const size_t at = text.find("\n" + series + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size() + 2));
}

int started() {
    void* library = ::dlopen(YEOUL_FAKE_NVML, RTLD_NOW);
    REQUIRE(library);
    const int count = reinterpret_cast<int (*)()>(::dlsym(library, "fake_nvml_started"))();
    ::dlclose(library);
    return count;
}

} // namespace

TEST_CASE("gpu metrics: are what the driver says, in base units, under Triton's names too") {
    OnGpu on(with_library(YEOUL_FAKE_NVML));
    const std::string gpu = "{gpu_uuid=\"GPU-fake\"}";
    const std::pair<const char*, double> expected[] = {
        {"yeoul_gpu_utilization_ratio", 0.42},
        {"yeoul_gpu_memory_used_bytes", 3.0 * (1 << 30)},
        {"yeoul_gpu_memory_total_bytes", 16.0 * (1 << 30)},
        {"yeoul_gpu_power_watts", 61.5},
        {"yeoul_gpu_power_limit_watts", 70},
        {"yeoul_gpu_sm_clock_hertz", 1.59e9},
        {"yeoul_gpu_energy_joules_total", 1234},
        {"nv_gpu_utilization", 0.42},
        {"nv_gpu_memory_used_bytes", 3.0 * (1 << 30)},
        {"nv_gpu_memory_total_bytes", 16.0 * (1 << 30)},
        {"nv_gpu_power_usage", 61.5},
        {"nv_gpu_power_limit", 70},
        {"nv_energy_consumption", 1234}};
    for (const auto& [name, value] : expected) {
        CAPTURE(name);
        CHECK(value_of(on.service, name + gpu) == doctest::Approx(value));
    }
    const auto throttled = [&](const char* reason) {
        return value_of(on.service, "yeoul_gpu_throttled{gpu_uuid=\"GPU-fake\",reason=\"" +
                                        std::string(reason) + "\"}");
    };
    CHECK(throttled("software_power_cap") == 1);
    CHECK(throttled("hardware_thermal") == 0);
    const json stats = json::parse(ask(on.service, "GET", "/v1/stats").body)["gpu"];
    CHECK(stats["watts"] == 61.5);
    CHECK(stats["throttled"] == json({"software_power_cap"}));
}

TEST_CASE("gpu metrics: what a card does not say is 0") {
    ::setenv("YEOUL_TEST_NVML", "old", 1);
    const GpuUse use = GpuMonitor(kAddress, YEOUL_FAKE_NVML).read();
    ::unsetenv("YEOUL_TEST_NVML");
    CHECK(use.joules == 0);
    CHECK(use.watts == 61.5);
}

TEST_CASE("gpu metrics: a driver that takes its time holds up no photo") {
    OnGpu on(with_library(YEOUL_FAKE_NVML));
    const std::shared_ptr<void> library(::dlopen(YEOUL_FAKE_NVML, RTLD_NOW), ::dlclose);
    REQUIRE(library);
    const auto hold = reinterpret_cast<void (*)(bool)>(::dlsym(library.get(), "fake_nvml_hold"));
    const auto wait_until_asked =
        reinterpret_cast<void (*)()>(::dlsym(library.get(), "fake_nvml_wait_until_asked"));
    hold(true);
    auto scrape =
        std::async(std::launch::async, [&] { return ask(on.service, "GET", "/metrics"); });
    wait_until_asked();
    auto photo = std::async(std::launch::async,
                            [&] { return ask(on.service, "POST", "/v1/embed", "abc").status; });
    const bool answered = photo.wait_for(std::chrono::seconds(10)) == std::future_status::ready;
    hold(false);
    CHECK(answered);
    CHECK(photo.get() == 200);
    CHECK(scrape.get().status == 200);
}

TEST_CASE("gpu metrics: without NVML or its GPU the service goes on, and says why") {
    for (const auto& [library, address, why] :
         {std::tuple{"/nowhere/libnvidia-ml.so.1", kAddress, "/nowhere/libnvidia-ml.so.1"},
          {YEOUL_FAKE_NVML, "00000000:00:1f.0", "no GPU at 00000000:00:1f.0"},
          {"libm.so.6", kAddress, "cannot be started"}}) {
        std::string said;
        ServiceOptions options = with_library(library);
        options.log = [&said](LogLevel, std::string_view text) { said = text; };
        OnGpu on(options, address);
        CAPTURE(said);
        CHECK(said.find(why) != std::string::npos);
        CHECK(ask(on.service, "POST", "/v1/embed", "abc").status == 200);
        CHECK(value_of(on.service, "yeoul_gpu_power_watts{gpu_uuid=\"GPU-fake\"}") == -1);
        CHECK(json::parse(ask(on.service, "GET", "/v1/stats").body)["gpu"].is_null());
    }
    CHECK(started() == 0); // each one that was started was shut down
}

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/serve/served.h"

using namespace yeoul;
using namespace yeoul::serve;
using namespace yeoul::test;
using nlohmann::json;

namespace {

/// The value of a line "name{labels} value"; -1 when it is not there.
double value_of(const std::string& text, const std::string& series) {
    const size_t at = text.find("\n" + series + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size() + 2));
}

std::string metrics(Service& service) {
    return "\n" + ask(service, "GET", "/metrics").body;
}

} // namespace

TEST_CASE("metrics: every family is there with zeros before the first request") {
    Service service(clip_options());
    const std::string text = metrics(service);
    for (const char* series :
         {"yeoul_model_ready", "yeoul_images_total", "yeoul_batches_total",
          "yeoul_in_flight_images", "yeoul_requests_total{route=\"/v1/embed\",status=\"200\"}",
          "yeoul_request_duration_seconds_count{route=\"/v1/embed\"}",
          "yeoul_failures_total{code=\"bad_image\"}", "yeoul_failures_total{code=\"queue_full\"}",
          "yeoul_batch_size_count", "yeoul_memory_bytes{tag=\"weights\"}",
          "nv_inference_request_success{model=\"clip\",version=\"1\"}",
          "nv_inference_queue_duration_us{model=\"clip\",version=\"1\"}",
          "nv_inference_pending_request_count{model=\"clip\",version=\"1\"}"}) {
        CAPTURE(series);
        CHECK(value_of(text, series) == 0);
    }
    for (const char* stage :
         {"decode", "queue", "h2d", "preprocess", "compute", "d2h", "serialize"})
        CHECK(value_of(text, "yeoul_stage_duration_seconds_count{stage=\"" + std::string(stage) +
                                 "\"}") == 0);
    CHECK(value_of(text, "yeoul_build_info{version=\"" + std::string(version()) + "\"}") == 1);
}

TEST_CASE("metrics: what happens is counted once") {
    FakeEngine engine;
    Service service(clip_options());
    service.open(engine);
    ask(service, "POST", "/v1/embed", "abc");
    ask(service, "POST", "/v1/embed", "bad one");
    ask(service, "POST", "/v1/nothing", "");
    const std::string text = metrics(service);
    CHECK(value_of(text, "yeoul_model_ready") == 1);
    CHECK(value_of(text, "yeoul_images_total") == 2);
    CHECK(value_of(text, "yeoul_in_flight_images") == 0);
    CHECK(value_of(text, "yeoul_failures_total{code=\"bad_image\"}") == 1);
    CHECK(value_of(text, "yeoul_requests_total{route=\"/v1/embed\",status=\"200\"}") == 1);
    CHECK(value_of(text, "yeoul_requests_total{route=\"/v1/embed\",status=\"400\"}") == 1);
    CHECK(value_of(text, "yeoul_requests_total{route=\"none\",status=\"404\"}") == 1);
    CHECK(value_of(text, "yeoul_request_duration_seconds_count{route=\"/v1/embed\"}") == 2);
    CHECK(value_of(text, "yeoul_batch_size_count") == 1);
    const std::string labels = "{model=\"clip\",version=\"1\"}";
    CHECK(value_of(text, "nv_inference_request_success" + labels) == 1);
    CHECK(value_of(text, "nv_inference_count" + labels) == 1);
    CHECK(value_of(text, "nv_inference_compute_infer_duration_us" + labels) == 500);
    CHECK(value_of(metrics(service), "yeoul_images_total") == 2); // reading counts nothing
}

TEST_CASE("metrics: what is refused before its body is read has no duration") {
    Service service(clip_options()); // not ready
    ask(service, "POST", "/v1/embed", "abc");
    const std::string text = metrics(service);
    CHECK(value_of(text, "yeoul_requests_total{route=\"/v1/embed\",status=\"503\"}") == 1);
    CHECK(value_of(text, "yeoul_request_duration_seconds_count{route=\"/v1/embed\"}") == 0);
}

TEST_CASE("metrics: the time of requests that failed is none of those that did not") {
    Ready ready;
    const auto took = [](int hours) {
        HttpRequest request;
        request.head = {.method = "POST", .target = "/v1/embed"};
        request.begun -= std::chrono::hours(hours);
        return request;
    };
    HttpRequest good = took(1), bad = took(10);
    good.body = {1};
    bad.body = {'b', 'a', 'd', ' '};
    ask(ready.service, std::move(good));
    ask(ready.service, std::move(bad));
    const std::string stats = ask(ready.service, "GET", "/v2/models/clip/stats").body;
    const json inference = json::parse(stats)["model_stats"][0]["inference_stats"];
    const double hour_ns = 3600e9;
    CHECK(inference["success"]["ns"].get<double>() == doctest::Approx(hour_ns).epsilon(0.01));
    CHECK(inference["fail"]["ns"].get<double>() == doctest::Approx(10 * hour_ns).epsilon(0.01));
    CHECK(inference["fail"]["count"] == 1);
    CHECK(inference["compute_output"]["count"] == 1);
    CHECK(value_of(metrics(ready.service),
                   "nv_inference_request_duration_us{model=\"clip\",version=\"1\"}") ==
          doctest::Approx(hour_ns / 1e3).epsilon(0.01));
}

TEST_CASE("metrics: requests that fail are counted by Triton's reasons") {
    Ready ready;
    const auto failures = [&](const char* reason) {
        return value_of(metrics(ready.service),
                        "nv_inference_request_failure{model=\"clip\",reason=\"" +
                            std::string(reason) + "\",version=\"1\"}");
    };
    for (const char* reason : {"REJECTED", "CANCELED", "BACKEND", "OTHER"})
        CHECK(failures(reason) == 0);
    ready.post("/v1/embed", "full");
    ready.post("/v1/embed", "late photo");
    ready.post("/v1/embed", "bad one");
    ready.post("/v1/embed", "big one");
    ready.post("/v1/embed", form_of({{"a", "bad one"}, {"b", "1"}}), kForm); // did not fail
    CHECK(failures("REJECTED") == 2);
    CHECK(failures("OTHER") == 2);
    HttpRequest left;
    left.head = {.method = "POST", .target = "/v1/embed"};
    left.body = {1};
    std::stop_source gone;
    left.gone = gone.get_token();
    gone.request_stop();
    ask(ready.service, std::move(left));
    CHECK(failures("CANCELED") == 1);
    ready.post("/v1/embed", "lost");
    CHECK(failures("BACKEND") == 1);
    CHECK(value_of(metrics(ready.service),
                   "nv_inference_request_success{model=\"clip\",version=\"1\"}") == 1);
}

TEST_CASE("metrics: memory by what it is for, allocated, reserved and at most") {
    Ready ready;
    const auto bytes = [&](const char* family, const char* part) {
        return value_of(metrics(ready.service), "yeoul_memory_" + std::string(family) + "_bytes{" +
                                                    std::string(part) + "}");
    };
    for (const char* family : {"allocated", "reserved", "peak"})
        for (const char* tag : {"weights", "activations", "workspace", "staging", "labels"})
            CHECK(bytes(family, ("pinned=\"false\",tag=\"" + std::string(tag) + "\"").c_str()) ==
                  0);
    ready.engine.hold_memory({{.tag = "staging",
                               .pinned = true,
                               .allocated_bytes = 100,
                               .reserved_bytes = 300,
                               .peak_bytes = 200}});
    const char* const staging = "pinned=\"true\",tag=\"staging\"";
    CHECK(bytes("allocated", staging) == 100);
    CHECK(bytes("reserved", staging) == 300);
    CHECK(bytes("peak", staging) == 200);
    CHECK(value_of(metrics(ready.service), "yeoul_device_allocations_since_ready_total") == 0);
    CHECK(value_of(metrics(ready.service), "yeoul_device_synchronizations_since_ready_total") == 0);
    const json stats = json::parse(ask(ready.service, "GET", "/v1/stats").body);
    CHECK(stats["memory"] == json::parse(R"([{"tag": "staging", "pinned": true,
        "allocated_bytes": 100, "reserved_bytes": 300, "peak_bytes": 200}])"));
    CHECK(stats["labels"]["possible"] == true);
    CHECK(stats["labels"]["count"] == 0);
}

TEST_CASE("metrics: the page's statistics say the same") {
    FakeEngine engine;
    Service service(clip_options());
    service.open(engine);
    ask(service, "POST", "/v1/embed", "abc");
    ask(service, "POST", "/v1/embed", "bad one");
    const json stats = json::parse(ask(service, "GET", "/v1/stats").body);
    CHECK(stats["state"] == "ready");
    CHECK(stats["model"]["name"] == "clip");
    CHECK(stats["model"]["dim"] == 4);
    CHECK(stats["photos"]["answered"] == 2);
    CHECK(stats["photos"]["failed"] == 1);
    CHECK(stats["photos"]["by_batch_size"]["1"] == 1);
    CHECK(stats["failures"]["bad_image"] == 1);
    CHECK(stats["latency_ms"]["requests"] == 2);
}

TEST_CASE("metrics: percentiles are of the window and forget what is older") {
    LatencyWindow window;
    const Clock::time_point start;
    for (int i = 1; i <= 100; ++i)
        window.add(start + std::chrono::seconds(i), i);
    const auto all = window.percentiles(start + std::chrono::seconds(100), std::chrono::hours(1));
    CHECK(all.requests == 100);
    CHECK(all.p50_ms == doctest::Approx(50.5).epsilon(0.01));
    CHECK(all.p99_ms == 99);
    const auto last =
        window.percentiles(start + std::chrono::seconds(100), std::chrono::seconds(9));
    CHECK(last.requests == 10);
    CHECK(last.p50_ms == doctest::Approx(95.5).epsilon(0.01));
    for (int i = 0; i < 20000; ++i) // more than it remembers
        window.add(start + std::chrono::seconds(200), 7);
    CHECK(window.percentiles(start + std::chrono::seconds(200), std::chrono::hours(1)).p99_ms == 7);
    CHECK(LatencyWindow().percentiles(start, std::chrono::hours(1)).requests == 0);
}

TEST_CASE("metrics: one slow request a second is told, with the number of the others") {
    SlowLog log(std::chrono::milliseconds(100));
    const Clock::time_point start;
    CHECK(!log.admit(start, 99));
    CHECK(log.admit(start, 100) == 0);
    CHECK(!log.admit(start + std::chrono::milliseconds(10), 500));
    CHECK(!log.admit(start + std::chrono::milliseconds(999), 500));
    CHECK(log.admit(start + std::chrono::seconds(1), 500) == 2);
    CHECK(log.admit(start + std::chrono::seconds(5), 500) == 0);
}

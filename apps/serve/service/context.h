// What the handlers of all protocols share.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <yeoul/engine.h>

#include "apps/serve/http/message.h"
#include "apps/serve/service/job_thread.h"
#include "apps/serve/service/label_board.h"
#include "apps/serve/service/metrics.h"
#include "apps/serve/service/photo_engine.h"
#include "apps/serve/service/slow_log.h"

namespace yeoul::serve {

enum class ServiceState { loading, ready, draining, lost };

struct ServiceOptions {
    std::string model_name = "model";
    std::vector<std::string> api_keys; // none: everybody may ask
    size_t most_photos = 1024;         // in one request
    std::chrono::milliseconds slow_request{1000};
    std::string nvml = GpuMonitor::kLibrary; // tells of the GPU, when there is one
    std::function<void(LogLevel, std::string_view)> log = [](LogLevel, std::string_view) {};
    /// Called once, from any thread, when the device failed for good.
    std::function<void()> on_device_lost = [] {};
};

struct Context {
    const ServiceOptions options;
    Metrics metrics;
    SlowLog slow_log;
    std::atomic<ServiceState> state = ServiceState::loading;
    std::atomic<PhotoEngine*> engine = nullptr; // set before `ready`
    std::function<ServerCounts()> server_counts = [] { return ServerCounts{}; };
    const Clock::time_point started = Clock::now();
    LabelBoard labels;
    JobThread json_jobs, form_jobs;    // read large bodies
    JobThread label_jobs, comparisons; // last: their jobs use the others

    bool ready() const { return state == ServiceState::ready && engine.load()->ready(); }
};

/// One request on its way through a handler.
struct Call {
    HttpRequest request;
    size_t body_bytes = 0;             // as they came; a handler may take the body away
    std::vector<std::string> captured; // segments that stand for {} in the route
    std::vector<std::pair<std::string, std::string>> query;
    Responder respond;
};

struct Route {
    std::string method;  // "GET" (HEAD comes with it), "POST" or "PUT"
    std::string pattern; // "/v2/models/{}/infer"
    void (*handle)(Context& context, Call call);
    bool needs_engine = true; // 503 until ready
    bool needs_key = true;
    JobThread Context::*large_bodies = &Context::json_jobs;
};

/// Once, when `code` is `device_lost`: the service is lost, and whoever started it hears of it.
void note_lost_device(Context& context, ErrorCode code, const std::string& message);

std::vector<Route> v1_routes();
std::vector<Route> label_routes();
std::vector<Route> openai_routes();
std::vector<Route> kserve_routes();
std::vector<Route> operation_routes(); // health, metrics, statistics, the page

/// Throws `HttpError` 501 when the engine was opened without the model's text side.
void require_text(const Context& context);

} // namespace yeoul::serve

#include "apps/serve/service/service.h"

#include <algorithm>
#include <fstream>
#include <future>

#include "apps/serve/service/canary.h"
#include "apps/serve/wire/header_value.h"
#include "apps/serve/wire/target.h"

namespace yeoul::serve {
namespace {

constexpr std::string_view kNoRoute = "none";
/// Larger bodies are parsed on a thread of their own: 60 MB of base64 in JSON take a second, and
/// other clients of an I/O thread do not wait for them.
constexpr size_t kParsedAtOnce = 1 << 20;

std::vector<Route> all_routes() {
    std::vector<Route> all;
    for (auto part : {v1_routes, label_routes, openai_routes, kserve_routes, operation_routes})
        for (Route& route : part())
            all.push_back(std::move(route));
    return all;
}

std::vector<std::vector<std::string>> split_patterns(const std::vector<Route>& routes) {
    std::vector<std::vector<std::string>> patterns;
    for (const Route& route : routes)
        patterns.push_back(parse_target(route.pattern).segments);
    return patterns;
}

std::vector<std::string> names_of(const std::vector<Route>& routes) {
    std::vector<std::string> names = {std::string(kNoRoute)};
    for (const Route& route : routes)
        if (std::find(names.begin(), names.end(), route.pattern) == names.end())
            names.push_back(route.pattern);
    return names;
}

bool fits(const std::vector<std::string>& pattern, const std::vector<std::string>& segments) {
    return std::equal(pattern.begin(), pattern.end(), segments.begin(), segments.end(),
                      [](const std::string& want, const std::string& is) {
                          return want == "{}" ? !is.empty() : want == is;
                      });
}

std::vector<std::string> captured(const std::vector<std::string>& pattern,
                                  const std::vector<std::string>& segments) {
    std::vector<std::string> values;
    for (size_t i = 0; i < pattern.size(); ++i)
        if (pattern[i] == "{}")
            values.push_back(segments[i]);
    return values;
}

bool allows(const Route& route, const std::string& method) {
    return method == route.method || (method == "HEAD" && route.method == "GET");
}

bool takes_photos(const Route& route) {
    return route.method == "POST" && route.needs_engine;
}

double milliseconds_since(Clock::time_point begun) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begun).count();
}

} // namespace

struct Service::Match {
    const Route* route = nullptr; // null: `refusal` says why
    std::string name = std::string(kNoRoute);
    std::vector<std::string> captured;
    std::vector<std::pair<std::string, std::string>> query;
    std::optional<HttpReply> refusal;
};

Service::Service(ServiceOptions options)
    : routes_(all_routes()),
      patterns_(split_patterns(routes_)), context_{.options = options,
                                                   .metrics = Metrics(options.model_name,
                                                                      names_of(routes_)),
                                                   .slow_log = SlowLog(options.slow_request)} {}

void Service::open(PhotoEngine& engine, const std::optional<Labels>& labels) {
    if (labels && context_.labels.reserve())
        context_.labels.replace(engine, *labels);
    check_canary(engine);
    context_.engine = &engine;
    watch_gpu();
    context_.metrics.ready(true, &engine.info(), &engine.device());
    ServiceState loading = ServiceState::loading;
    context_.state.compare_exchange_strong(loading, ServiceState::ready);
}

void Service::watch_gpu() {
    const DeviceInfo& device = context_.engine.load()->device();
    if (device.pci_address.empty())
        return;
    try {
        context_.metrics.watch(
            std::make_unique<GpuMonitor>(device.pci_address, context_.options.nvml));
    } catch (const Error& error) { // photos do not need it
        context_.options.log(LogLevel::warning,
                             std::string("there are no metrics of the GPU: ") + error.what());
    }
}

void Service::drain() {
    ServiceState ready = ServiceState::ready;
    if (!context_.state.compare_exchange_strong(ready, ServiceState::draining)) {
        ServiceState loading = ServiceState::loading;
        context_.state.compare_exchange_strong(loading, ServiceState::draining);
    }
    context_.metrics.ready(false, nullptr, nullptr);
}

void Service::close() {
    context_.json_jobs.finish();
    context_.form_jobs.finish();
    context_.label_jobs.finish();
    context_.comparisons.finish();
}

void Service::watch_transport(std::function<ServerCounts()> counts) {
    context_.server_counts = std::move(counts);
}

Service::Match Service::match(const Head& head) const {
    Match found;
    Target target;
    try {
        target = parse_target(head.target);
    } catch (const Error&) {
        found.refusal = reply_to_exception();
        return found;
    }
    std::string allow;
    for (size_t i = 0; i < routes_.size(); ++i) {
        if (!fits(patterns_[i], target.segments))
            continue;
        found.name = routes_[i].pattern;
        if (allows(routes_[i], head.method)) {
            found.route = &routes_[i];
            found.captured = captured(patterns_[i], target.segments);
            found.query = std::move(target.query);
            return found;
        }
        allow += (allow.empty() ? "" : ", ") + routes_[i].method;
    }
    if (allow.empty()) {
        found.refusal = error_reply(404, "not_found",
                                    "there is nothing at '" + head.target.substr(0, 200) +
                                        "'; photos go to POST /v1/embed");
    } else {
        found.refusal = error_reply(405, "method_not_allowed",
                                    head.method + " is not for '" + head.target.substr(0, 200) +
                                        "'; use " + allow);
        found.refusal->headers.push_back({"Allow", allow});
    }
    return found;
}

void Service::check_key(const Head& head) const {
    std::string_view given = head.header("X-Api-Key");
    const std::string_view bearer = head.header("Authorization");
    if (lower_case(bearer.substr(0, 7)) == "bearer ")
        given = trimmed(bearer.substr(7));
    bool known = false;
    for (const std::string& key : context_.options.api_keys)
        known |= equal_in_constant_time(key, given);
    if (!known)
        throw HttpError(401, "unauthorized",
                        given.empty() ? "a key is missing; send the header 'Authorization: Bearer "
                                        "KEY'"
                                      : "the key is not known; ask who runs this server");
}

void Service::check_state() const {
    switch (context_.state) {
    case ServiceState::ready:
        if (context_.engine.load()->ready())
            return;
        [[fallthrough]];
    case ServiceState::lost:
        throw HttpError(503, std::string(name(ErrorCode::device_lost)),
                        "the device failed and the server is ending; ask another one");
    case ServiceState::loading:
        throw HttpError(503, "not_ready", "the model is being loaded; try again in a moment");
    case ServiceState::draining:
        throw HttpError(503, "draining", "the server is shutting down; ask another one");
    }
}

std::optional<HttpReply> Service::refuse(const Head& head) {
    const Match found = match(head);
    std::optional<HttpReply> refusal = found.refusal;
    try {
        const bool open =
            context_.options.api_keys.empty() || (found.route && !found.route->needs_key);
        if (!open)
            check_key(head);
        if (found.route && found.route->needs_engine)
            check_state();
        const std::string_view coding = head.header("Content-Encoding");
        if (found.route && !coding.empty() && lower_case(coding) != "identity")
            throw HttpError(415, "unsupported_encoding",
                            "Content-Encoding is '" + std::string(coding) +
                                "'; send the body as it is");
    } catch (const HttpError& error) {
        refusal = reply_to_exception();
        if (error.status() == 401)
            refusal->headers.push_back({"WWW-Authenticate", "Bearer"});
    }
    if (refusal)
        context_.metrics.request_refused(found.name, refusal->status);
    return refusal;
}

void Service::answer(HttpRequest request, Responder respond) {
    Match found = match(request.head); // `refuse` let it pass
    const Clock::time_point begun = request.begun;
    // The inner responder travels with the reply, which is counted where it is made.
    Responder counted([this, respond, name = found.name, begun](Responder::Make make) {
        respond.make([this, name, begun, make = std::move(make)] {
            HttpReply reply;
            try {
                reply = make();
            } catch (...) {
                reply = reply_to_exception();
            }
            context_.metrics.request_done(name, reply.status, milliseconds_since(begun));
            return reply;
        });
    });
    const size_t bytes = request.body.size();
    handle(*found.route, Call{.request = std::move(request),
                              .body_bytes = bytes,
                              .captured = std::move(found.captured),
                              .query = std::move(found.query),
                              .respond = counted});
}

void Service::handle(const Route& route, Call call) {
    const auto run = [this, &route](Call& one) {
        const Responder respond = one.respond;
        try {
            route.handle(context_, std::move(one));
        } catch (...) {
            respond.send(reply_to_exception());
        }
    };
    if (call.body_bytes <= kParsedAtOnce)
        return run(call);
    const Responder respond = call.respond;
    try {
        (context_.*route.large_bodies).run([run, call = std::move(call)]() mutable { run(call); });
    } catch (...) {
        respond.send(reply_to_exception());
    }
}

void Service::refused_by_transport(int status, const Head* head) {
    if (head == nullptr)
        return context_.metrics.request_refused(std::string(kNoRoute), status);
    const Match found = match(*head);
    context_.metrics.request_refused(found.name, status);
    if (status == 429 && found.route && takes_photos(*found.route))
        context_.metrics.photos_rejected();
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
    unsigned difference = a.size() != b.size();
    for (size_t i = 0; i < std::max(a.size(), b.size()); ++i)
        difference |= static_cast<unsigned>((i < a.size() ? a[i] : 0) ^ (i < b.size() ? b[i] : 0));
    return difference == 0;
}

std::vector<std::string> read_api_keys(const std::string& path) {
    std::ifstream in(path);
    if (!in)
        throw Error(ErrorCode::io, "the key file '" + path + "' cannot be read");
    std::vector<std::string> keys;
    for (std::string line; std::getline(in, line);) {
        if (line.ends_with('\r'))
            line.pop_back();
        const std::string key(trimmed(line));
        if (!key.empty() && !key.starts_with('#'))
            keys.push_back(key);
    }
    YEOUL_REQUIRE(!keys.empty(), "the key file '" << path << "' holds no key; write one a line");
    return keys;
}

} // namespace yeoul::serve

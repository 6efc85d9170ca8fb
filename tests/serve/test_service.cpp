#include <doctest/doctest.h>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/serve/served.h"
#include "tests/support/temporary_directory.h"

using namespace yeoul;
using namespace yeoul::serve;
using namespace yeoul::test;
using nlohmann::json;

namespace {

HttpReply embed(Ready& ready, std::string_view body, std::string target = "/v1/embed",
                std::vector<Header> headers = {}) {
    return ready.post(std::move(target), body, std::move(headers));
}

} // namespace

TEST_CASE("service: a photo's bytes give its vector, size and stage times") {
    Ready ready;
    const HttpReply reply = embed(ready, "abc");
    REQUIRE(reply.status == 200);
    const json body = json::parse(reply.body);
    CHECK(body["model"] == "clip");
    CHECK(body["dim"] == 4);
    CHECK(body["embedding"] == json({3, 97 + 98 + 99, 97, 0}));
    CHECK(body["width"] == 2);
    CHECK(body["height"] == 3);
    CHECK(body["timing_ms"]["compute"] == 0.5);
    CHECK(header(reply, "Server-Timing").find("compute;dur=0.500") != std::string::npos);
}

TEST_CASE("service: normalize, base64 and the model's name come from the query") {
    Ready ready;
    CHECK(json::parse(embed(ready, "abc", "/v1/embed?normalize=true").body)["embedding"][3] == 1);
    // 3, 294, 97 and 0 as little-endian float32
    CHECK(json::parse(embed(ready, "abc", "/v1/embed?encoding_format=base64").body)["embedding"] ==
          "AABAQAAAk0MAAMJCAAAAAA==");
    CHECK(embed(ready, "abc", "/v1/embed?model=clip").status == 200);
    check_error(embed(ready, "abc", "/v1/embed?model=vit"), 404, "model_not_found");
    check_error(embed(ready, "abc", "/v1/embed?normalise=1"), 400, "invalid_argument");
    check_error(embed(ready, "abc", "/v1/embed?normalize=2"), 400, "invalid_argument");
    check_error(embed(ready, "abc", "/v1/embed?encoding_format=hex"), 400, "invalid_argument");
}

TEST_CASE("service: each type that a photo's bytes are sent with is taken, others are not") {
    Ready ready;
    for (const char* type : {"image/jpeg", "IMAGE/PNG", "application/octet-stream",
                             "application/x-www-form-urlencoded"})
        CHECK(embed(ready, "abc", "/v1/embed", {{"Content-Type", type}}).status == 200);
    check_error(embed(ready, "abc", "/v1/embed", {{"Content-Type", "text/html"}}), 415,
                "unsupported_type");
    check_error(embed(ready, "abc", "/v1/embed", {{"Content-Encoding", "gzip"}}), 415,
                "unsupported_encoding");
    CHECK(embed(ready, "abc", "/v1/embed", {{"Content-Encoding", "identity"}}).status == 200);
}

TEST_CASE("service: one photo's failure is the status of its request") {
    Ready ready;
    check_error(embed(ready, "bad photo"), 400, "bad_image");
    check_error(embed(ready, "big photo"), 413, "image_too_large");
    check_error(embed(ready, "late photo"), 504, "deadline_exceeded");
    const HttpReply full = embed(ready, "full");
    check_error(full, 429, "queue_full");
    CHECK(header(full, "Retry-After").empty());
    check_error(embed(ready, ""), 400, "invalid_argument");
    ready.engine.refuse_next(ErrorCode::queue_full);
    check_error(embed(ready, "abc"), 429, "queue_full");
    CHECK(embed(ready, "abc").status == 200);
}

TEST_CASE("service: a bad photo in a form of 32 fails alone") {
    Ready ready;
    std::vector<std::pair<std::string, std::string>> photos;
    for (int i = 0; i < 32; ++i)
        photos.emplace_back(std::to_string(i) + ".jpg", i == 7 ? "bad one" : "photo");
    const HttpReply reply = embed(ready, form_of(photos), "/v1/embed", kForm);
    REQUIRE(reply.status == 200);
    const json results = json::parse(reply.body)["results"];
    REQUIRE(results.size() == 32);
    for (size_t i = 0; i < results.size(); ++i) {
        CHECK(results[i]["name"] == std::to_string(i) + ".jpg");
        CHECK(results[i].contains("embedding") == (i != 7));
    }
    CHECK(results[7]["error"]["code"] == "bad_image");
}

TEST_CASE("service: large bodies are parsed where no other client waits") {
    Ready ready;
    const auto submitted_by = [&](const char* target, const std::string& body,
                                  const std::vector<Header>& headers = {}) {
        CHECK(ready.post(target, body, headers).status == 200);
        return ready.engine.last_submitter();
    };
    const auto as_json = [](size_t bytes) {
        return R"({"input":"data:image/jpeg;base64,)" + std::string(bytes / 3 * 4, 'A') + "\"}";
    };
    const auto here = std::this_thread::get_id();
    CHECK(submitted_by("/v1/embeddings", as_json(3000)) == here);
    CHECK(submitted_by("/v1/embed", form_of({{"a", "photo"}}), kForm) == here);
    const auto of_json = submitted_by("/v1/embeddings", as_json(3 << 20));
    const auto of_form =
        submitted_by("/v1/embed", form_of({{"a", std::string(3 << 20, 'x')}}), kForm);
    CHECK(of_json != here);
    CHECK(of_form != here);
    CHECK(of_form != of_json); // a form does not wait for JSON either
    check_error(ready.post("/v1/embeddings", std::string(2 << 20, '{')), 400, "invalid_argument");
}

TEST_CASE("service: a slow request is told with the bytes of its body, chunked or not") {
    std::string told;
    ServiceOptions options = clip_options();
    options.slow_request = std::chrono::milliseconds(0);
    options.log = [&told](LogLevel, std::string_view text) { told = text; };
    Ready ready(options);
    HttpRequest request;
    request.head = {.method = "POST", .target = "/v1/embed", .content_length = std::nullopt};
    request.body.assign(2'500'000, 'x');
    CHECK(ask(ready.service, std::move(request)).status == 200);
    CHECK(told.find("1 photos, 2.5 MB") != std::string::npos);
}

TEST_CASE("service: a form's fields without a filename are options") {
    Ready ready;
    const std::string option = "--b\r\nContent-Disposition: form-data; name=\"normalize\"\r\n\r\n";
    const HttpReply reply =
        embed(ready, option + "1\r\n" + form_of({{"a.jpg", "x"}}), "/v1/embed", kForm);
    CHECK(json::parse(reply.body)["results"][0]["embedding"][3] == 1);
    check_error(embed(ready, option + "1\r\n--b--", "/v1/embed", kForm), 400, "invalid_argument");
    check_error(embed(ready, option + std::string(300, 'x') + "\r\n--b--", "/v1/embed", kForm), 400,
                "invalid_argument");
}

TEST_CASE("service: over the most photos of a request nothing is submitted") {
    ServiceOptions options = clip_options();
    options.most_photos = 2;
    Ready ready(options);
    CHECK(embed(ready, form_of({{"a", "1"}, {"b", "2"}}), "/v1/embed", kForm).status == 200);
    check_error(embed(ready, form_of({{"a", "1"}, {"b", "2"}, {"c", "3"}}), "/v1/embed", kForm),
                400, "invalid_argument");
}

TEST_CASE("service: names that are no UTF-8 come back as JSON all the same") {
    Ready ready;
    const HttpReply reply = embed(ready, form_of({{"\xff\xfe.jpg", "bad"}}), "/v1/embed", kForm);
    CHECK(json::accept(reply.body));
}

TEST_CASE("service: priority and deadline go to the engine") {
    Ready ready;
    CHECK(embed(ready, "abc").status == 200);
    CHECK(ready.engine.last_priority() == Priority::interactive);
    CHECK(!ready.engine.last_deadline());
    HttpRequest request;
    request.head = {.method = "POST", .target = "/v1/embed?priority=bulk&timeout_ms=1500"};
    request.body = {1, 2, 3};
    const Clock::time_point begun = request.begun;
    CHECK(ask(ready.service, std::move(request)).status == 200);
    CHECK(ready.engine.last_priority() == Priority::bulk);
    CHECK(*ready.engine.last_deadline() == begun + std::chrono::milliseconds(1500));
    for (const char* wrong : {"priority=high", "timeout_ms=0", "timeout_ms=-1", "timeout_ms=1s",
                              "timeout_ms=", "timeout_ms=99999999999"})
        check_error(embed(ready, "abc", "/v1/embed?" + std::string(wrong)), 400,
                    "invalid_argument");
}

TEST_CASE("service: an album that the engine does not admit is refused whole") {
    Ready ready;
    const std::string album = form_of({{"a", "1"}, {"b", "2"}});
    ready.engine.fill(2300);
    const HttpReply reply = embed(ready, album, "/v1/embed", kForm);
    check_error(reply, 429, "queue_full");
    CHECK(header(reply, "Retry-After") == "3"); // whole seconds, none too few
    ready.engine.fill(0);
    const HttpReply never = embed(ready, album, "/v1/embed", kForm);
    check_error(never, 429, "queue_full");
    CHECK(header(never, "Retry-After").empty()); // waiting does not help
}

TEST_CASE("service: classes that the model lacks are said to be missing, and what there is") {
    Ready ready;
    const std::string why = check_error(embed(ready, "abc", "/v1/classify"), 501, "not_supported");
    CHECK(why.find("has no classes") != std::string::npos);
    CHECK(why.find("/v1/tag") != std::string::npos);
}

TEST_CASE("service: unknown paths and wrong methods") {
    Ready ready;
    for (const char* path : {"/v1", "/v1/embed/", "//v1/embed", "/v1/./embed", "/v1/../v1/embed",
                             "/v1/embed%00", "/V1/embed", "/v1/embed/..", "/%2e%2e/etc/passwd"})
        check_error(embed(ready, "abc", path), 404, "not_found");
    for (const char* path : {"*", "embed", "/%", "/v1/embed?x=%g1"})
        check_error(embed(ready, "abc", path), 400, "invalid_argument");
    const HttpReply reply = ask(ready.service, "DELETE", "/v1/embed");
    check_error(reply, 405, "method_not_allowed");
    CHECK(header(reply, "Allow") == "POST");
    check_error(ask(ready.service, "GET", "/v1/embed"), 405, "method_not_allowed");
    CHECK(ask(ready.service, "HEAD", "/v1/stats").status == 200);
}

TEST_CASE("service: photos wait for the model, health says so") {
    FakeEngine engine;
    Service service(clip_options());
    const auto status = [&](const char* method, const char* path) {
        return ask(service, method, path, "").status;
    };
    CHECK(status("GET", "/v2/health/live") == 200);
    CHECK(status("GET", "/v2/health/ready") == 503);
    CHECK(status("GET", "/v1/stats") == 200);
    CHECK(status("GET", "/metrics") == 200);
    check_error(ask(service, "POST", "/v1/embed", "abc"), 503, "not_ready");
    service.open(engine);
    CHECK(status("GET", "/v2/health/ready") == 200);
    CHECK(ask(service, "POST", "/v1/embed", "abc").status == 200);
    service.drain();
    CHECK(status("GET", "/v2/health/live") == 200);
    CHECK(status("GET", "/v2/health/ready") == 503);
    check_error(ask(service, "POST", "/v1/embed", "abc"), 503, "draining");
}

TEST_CASE("service: a canary that fails keeps it from being ready") {
    class Sick : public FakeEngine {
        void submit(Request request, std::function<void(std::vector<Result>)> on_done) override {
            std::vector<Result> results(request.photos.size());
            results[0].embedding = {static_cast<float>(++calls_)};
            on_done(std::move(results));
        }
        int calls_ = 0;
    } engine;
    Service service(clip_options());
    CHECK_THROWS_WITH(service.open(engine), doctest::Contains("two different vectors"));
    CHECK(ask(service, "GET", "/v2/health/ready").status == 503);
}

TEST_CASE("service: a device lost while labels are set is told once and ends readiness") {
    std::promise<void> lost;
    ServiceOptions options;
    options.on_device_lost = [&lost] { lost.set_value(); };
    Ready ready(options);
    check_error(ask(ready.service, "PUT", "/v1/labels", R"({"labels": ["lost"]})"), 503,
                "device_lost");
    lost.get_future().wait();
    check_error(embed(ready, "abc"), 503, "device_lost");
}

TEST_CASE("service: a lost device is told once and ends readiness") {
    int told = 0;
    ServiceOptions options = clip_options();
    options.on_device_lost = [&told] { ++told; };
    Ready ready(options);
    check_error(embed(ready, "lost"), 503, "device_lost");
    CHECK(told == 1);
    check_error(embed(ready, "abc"), 503, "device_lost");
    CHECK(ask(ready.service, "GET", "/v2/health/ready").status == 503);
    CHECK(told == 1);
}

TEST_CASE("service: keys are asked for everywhere but at health and the page") {
    ServiceOptions options = clip_options();
    options.api_keys = {"first", "second"};
    Ready ready(options);
    const auto with = [&](const char* name, const char* value) {
        return embed(ready, "abc", "/v1/embed", {{name, value}}).status;
    };
    CHECK(with("Authorization", "Bearer first") == 200);
    CHECK(with("authorization", "bearer  second") == 200);
    CHECK(with("X-Api-Key", "second") == 200);
    for (const char* wrong : {"Bearer", "Bearer ", "Bearer firs", "Bearer firstx", "Bearer FIRST",
                              "Basic first", "first"})
        CHECK(with("Authorization", wrong) == 401);
    const HttpReply missing = embed(ready, "abc");
    check_error(missing, 401, "unauthorized");
    CHECK(header(missing, "WWW-Authenticate") == "Bearer");
    for (const char* path : {"/metrics", "/v1/stats", "/v2", "/nothing"})
        CHECK(ask(ready.service, "GET", path).status == 401);
    for (const char* path : {"/", "/v2/health/live", "/v2/health/ready"})
        CHECK(ask(ready.service, "GET", path).status == 200);
}

TEST_CASE("service: key files hold a key a line") {
    const TemporaryDirectory place;
    const std::string path = (place.path() / "keys").string();
    std::ofstream(path) << "# ours\n\n  one  \r\ntwo\n";
    CHECK(read_api_keys(path) == std::vector<std::string>{"one", "two"});
    std::ofstream(path) << "# none\n";
    CHECK_THROWS_AS(read_api_keys(path), Error);
    CHECK_THROWS_AS(read_api_keys(path + "x"), Error);
}

TEST_CASE("service: keys are compared whole") {
    CHECK(equal_in_constant_time("abc", "abc"));
    CHECK(equal_in_constant_time("", ""));
    for (const char* other : {"", "ab", "abcd", "abd", "Abc"})
        CHECK(!equal_in_constant_time("abc", other));
    CHECK(!equal_in_constant_time("a", std::string_view("a\0", 2)));
}

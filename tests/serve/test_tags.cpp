// /v1/tag, /v1/labels and tags beside vectors.
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/serve/served.h"

using namespace yeoul;
using namespace yeoul::serve;
using namespace yeoul::test;
using nlohmann::json;

namespace {

HttpReply put(Ready& ready, std::string_view labels) {
    return ask(ready.service, "PUT", "/v1/labels", labels);
}

json labels_of(Ready& ready) {
    return json::parse(ask(ready.service, "GET", "/v1/labels").body);
}

void check_cat_first(const json& tags, size_t count) {
    REQUIRE(tags.size() == count);
    CHECK(tags[0] == json({{"label", "cat"}, {"probability", 0.5}}));
    if (count > 1)
        CHECK(tags[1] == json({{"label", "dog"}, {"probability", 0.25}}));
}

const char* const kThree = R"({"labels": ["cat", "dog", "red car"]})";

} // namespace

TEST_CASE("tags: one photo gets the likeliest labels, and no vector") {
    Ready ready;
    REQUIRE(put(ready, kThree).status == 200);
    const json body = json::parse(ready.post("/v1/tag", "abc").body);
    check_cat_first(body["tags"], 3);
    CHECK(body["model"] == "clip");
    CHECK(body["width"] == 2);
    CHECK(body["timing_ms"]["compute"] == 0.5);
    CHECK(!body.contains("embedding"));
    CHECK(!body.contains("dim"));
    check_cat_first(json::parse(ready.post("/v1/tag?top_k=1", "abc").body)["tags"], 1);
}

TEST_CASE("tags: a form has tags or an error for each photo") {
    Ready ready;
    REQUIRE(put(ready, kThree).status == 200);
    const HttpReply reply =
        ready.post("/v1/tag?top_k=2", form_of({{"a", "1"}, {"b", "bad one"}, {"c", "2"}}), kForm);
    REQUIRE(reply.status == 200);
    const json results = json::parse(reply.body)["results"];
    REQUIRE(results.size() == 3);
    check_cat_first(results[0]["tags"], 2);
    CHECK(results[1]["error"]["code"] == "bad_image");
    CHECK(!results[1].contains("tags"));
    check_cat_first(results[2]["tags"], 2);
    CHECK(results[2]["name"] == "c");
}

TEST_CASE("tags: one request gives vectors, tags and near-duplicates") {
    Ready ready;
    REQUIRE(put(ready, kThree).status == 200);
    const json body =
        json::parse(ready
                        .post("/v1/embed?tags=1&duplicates=true",
                              form_of({{"a", "same"}, {"b", "other"}, {"c", "same"}}), kForm)
                        .body);
    for (const json& result : body["results"]) {
        CHECK(result["embedding"].size() == 4);
        check_cat_first(result["tags"], 1);
    }
    CHECK(body["duplicates"]["groups"] == json::parse("[[0,2]]"));
    CHECK(!json::parse(ready.post("/v1/embed", "abc").body).contains("tags"));
}

TEST_CASE("tags: without labels, or without a text side, it says what to do") {
    Ready ready;
    CHECK(check_error(ready.post("/v1/tag", "abc"), 409, "no_labels").find("PUT /v1/labels") !=
          std::string::npos);
    check_error(ready.post("/v1/embed?tags=2", "abc"), 409, "no_labels");
    CHECK(labels_of(ready)["labels"] == json::array());
    ready.engine.without_text();
    for (const char* route : {"/v1/tag", "/v1/embed?tags=2"})
        CHECK(check_error(ready.post(route, "abc"), 501, "not_supported").find("--labels") !=
              std::string::npos);
    check_error(put(ready, kThree), 501, "not_supported");
    check_error(ask(ready.service, "GET", "/v1/labels"), 501, "not_supported");
    CHECK(ready.post("/v1/embed", "abc").status == 200);
}

TEST_CASE("tags: parameters that do not fit are named") {
    Ready ready;
    REQUIRE(put(ready, kThree).status == 200);
    for (const char* wrong :
         {"/v1/tag?top_k=0", "/v1/tag?top_k=65", "/v1/tag?top_k=two",
          "/v1/tag?top_k=", "/v1/tag?labels=cat", "/v1/tag?normalize=1", "/v1/tag?tags=1",
          "/v1/embed?tags=-1", "/v1/embed?top_k=1", "/v1/tag?threshold=0.9"})
        check_error(ready.post(wrong, "abc"), 400, "invalid_argument");
    CHECK(check_error(ready.post("/v1/tag?labels=cat", "abc"), 400, "invalid_argument")
              .find("top_k, model, priority and timeout_ms") != std::string::npos);
}

TEST_CASE("labels: are set at the start and replaced while serving") {
    FakeEngine engine;
    Service service(clip_options());
    service.open(engine, Labels{.names = {"sun"}, .templates = {"the {}"}});
    const auto get = [&] { return json::parse(ask(service, "GET", "/v1/labels").body); };
    CHECK(get() == json({{"model", "clip"}, {"labels", {"sun"}}, {"templates", {"the {}"}}}));
    const HttpReply reply =
        ask(service, "PUT", "/v1/labels", R"({"labels": ["moon", "눈"], "template": "a {}"})");
    CHECK(reply.status == 200);
    CHECK(json::parse(reply.body) == get());
    CHECK(get()["labels"] == json({"moon", "눈"}));
    CHECK(get()["templates"] == json({"a {}"}));
    CHECK(json::parse(ask(service, "POST", "/v1/tag", "abc").body)["tags"][0]["label"] == "moon");
    ask(service, "PUT", "/v1/labels", R"({"labels": ["a"], "templates": ["{}", "the {}"]})");
    CHECK(get()["templates"] == json({"{}", "the {}"}));
    ask(service, "PUT", "/v1/labels", R"({"labels": ["a"]})");
    CHECK(get()["templates"] == json({"a photo of a {}"}));
}

TEST_CASE("labels: what the engine refuses leaves the old ones in force") {
    Ready ready;
    REQUIRE(put(ready, kThree).status == 200);
    CHECK(check_error(put(ready, R"({"labels": ["good", "bad"]})"), 400, "invalid_argument")
              .find("label 2, \"bad\"") != std::string::npos);
    CHECK(labels_of(ready)["labels"].size() == 3);
    check_cat_first(json::parse(ready.post("/v1/tag", "abc").body)["tags"], 3);
    CHECK(put(ready, R"({"labels": ["good"]})").status == 200);
}

TEST_CASE("labels: a body of another shape is a 400 that says what is wrong") {
    Ready ready;
    for (const char* body :
         {"", "cat,dog", "[]", "{}", R"(["cat"])", R"({"labels": "cat"})",
          R"({"labels": ["a", 1]})", R"({"labels": [["a"]]})", R"({"labels": null})",
          R"({"labels": ["a"], "template": 3})", R"({"labels": ["a"], "templates": "{}"})",
          R"({"labels": ["a"], "form": "{}"})",
          R"({"labels": ["a"], "template": "{}", "templates": ["{}"]})"})
        check_error(put(ready, body), 400, "invalid_argument");
    CHECK(check_error(put(ready, "{\"labels\": [\"a\", \"d\xffg\"]}"), 400, "invalid_argument")
              .find("UTF-8") != std::string::npos);
    CHECK(check_error(put(ready, R"({"labels": ["a", 17]})"), 400, "invalid_argument")
              .find("17 at place 2") != std::string::npos);
    CHECK(labels_of(ready)["labels"] == json::array());
}

TEST_CASE("labels: one change at a time, and photos go on meanwhile") {
    Ready ready;
    REQUIRE(put(ready, kThree).status == 200);
    ready.engine.block_labels();
    HttpReply first;
    std::thread changing([&] { first = put(ready, R"({"labels": ["new"]})"); });
    ready.engine.wait_until_setting_labels();
    check_error(put(ready, R"({"labels": ["other"]})"), 409, "busy");
    check_cat_first(json::parse(ready.post("/v1/tag", "abc").body)["tags"], 3);
    CHECK(labels_of(ready)["labels"].size() == 3);
    ready.engine.unblock_labels();
    changing.join();
    CHECK(first.status == 200);
    CHECK(labels_of(ready)["labels"] == json({"new"}));
    CHECK(put(ready, R"({"labels": ["last"]})").status == 200);
}

TEST_CASE("labels: ask for a key, and are no business of a service that is not ready") {
    ServiceOptions options = clip_options();
    options.api_keys = {"secret"};
    Ready ready(options);
    CHECK(put(ready, kThree).status == 401);
    CHECK(ask(ready.service, "GET", "/v1/labels").status == 401);
    CHECK(ask(ready.service, "PUT", "/v1/labels", kThree, {{"X-Api-Key", "secret"}}).status == 200);
    Service loading(clip_options());
    check_error(ask(loading, "PUT", "/v1/labels", kThree), 503, "not_ready");
    const HttpReply wrong = ask(ready.service, "POST", "/v1/labels", "", {{"X-Api-Key", "secret"}});
    check_error(wrong, 405, "method_not_allowed");
    CHECK(header(wrong, "Allow") == "GET, PUT");
}

TEST_CASE("labels: a service that closes finishes the change under way") {
    Ready ready;
    ready.engine.block_labels();
    HttpReply reply;
    std::thread changing([&] { reply = put(ready, kThree); });
    ready.engine.wait_until_setting_labels();
    std::thread closing([&] { ready.service.close(); });
    ready.engine.unblock_labels();
    closing.join();
    changing.join();
    CHECK(reply.status == 200);
    // Dropped, and answered all the same.
    check_error(put(ready, kThree), 500, "internal");
}

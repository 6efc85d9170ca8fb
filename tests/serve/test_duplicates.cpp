// Near-duplicates within one request.
#include <nlohmann/json.hpp>

#include "tests/serve/served.h"

using namespace yeoul;
using namespace yeoul::serve;
using namespace yeoul::test;
using nlohmann::json;

namespace {

json found_in(const HttpReply& reply) {
    REQUIRE(reply.status == 200);
    return json::parse(reply.body)["duplicates"];
}

} // namespace

TEST_CASE("duplicates: photos of a form are grouped by their places in the request") {
    Ready ready;
    const HttpReply reply = ready.post(
        "/v1/duplicates?threshold=0.9",
        form_of({{"a", "one"}, {"b", "two"}, {"a", "bad one"}, {"d", "two"}, {"e", "one"}}), kForm);
    const json found = found_in(reply);
    CHECK(found["groups"] == json::parse("[[0,4],[1,3]]"));
    CHECK(found["closest"] == json::parse(R"({"photos": [0, 4], "cosine": 1})"));
    CHECK(found["threshold"].get<float>() == 0.9f);
    CHECK(ready.engine.last_threshold() == 0.9);
    const json results = json::parse(reply.body)["results"];
    REQUIRE(results.size() == 5);
    CHECK(results[2]["error"]["code"] == "bad_image");
    CHECK(results[3]["name"] == "d");
    CHECK(!results[3].contains("embedding"));
}

TEST_CASE("duplicates: photos that are unlike have a closest pair, fewer than two have none") {
    Ready ready;
    const json unlike = found_in(
        ready.post("/v1/duplicates", form_of({{"a", "bad one"}, {"b", "2"}, {"c", "3"}}), kForm));
    CHECK(unlike["groups"] == json::array());
    CHECK(unlike["closest"] == json::parse(R"({"photos": [1, 2], "cosine": 0.5})"));
    CHECK(unlike["threshold"].get<float>() == 0.95f);
    const json one =
        found_in(ready.post("/v1/duplicates", form_of({{"a", "bad one"}, {"b", "2"}}), kForm));
    CHECK(one["groups"] == json::array());
    CHECK(one["closest"].is_null());
}

TEST_CASE("duplicates: are found beside vectors when that is asked for") {
    Ready ready;
    const std::string album = form_of({{"a", "1"}, {"b", "1"}});
    CHECK(found_in(ready.post("/v1/embed?duplicates=true", album, kForm))["groups"] ==
          json::parse("[[0,1]]"));
    CHECK(ready.engine.last_threshold() == 0.95);
    found_in(ready.post("/v1/embed?threshold=0.5", album, kForm));
    CHECK(ready.engine.last_threshold() == 0.5);
    found_in(ready.post("/v1/embed?threshold=0.25&duplicates=true", album, kForm));
    CHECK(ready.engine.last_threshold() == 0.25);
    for (const char* without :
         {"/v1/embed", "/v1/embed?duplicates=false", "/v1/embed?threshold=0.5&duplicates=false"})
        CHECK(!json::parse(ready.post(without, album, kForm).body).contains("duplicates"));
}

TEST_CASE("duplicates: what cannot be compared is refused") {
    Ready ready;
    for (const char* route : {"/v1/duplicates", "/v1/embed?duplicates=true"})
        CHECK(check_error(ready.post(route, "abc"), 400, "invalid_argument")
                  .find("multipart/form-data") != std::string::npos);
    const std::string album = form_of({{"a", "1"}, {"b", "1"}});
    for (const char* wrong : {"threshold=0", "threshold=-1", "threshold=1.01", "threshold=nan",
                              "threshold=", "threshold=0.9x", "tags=1", "normalize=1"})
        check_error(ready.post("/v1/duplicates?" + std::string(wrong), album, kForm), 400,
                    "invalid_argument");
    CHECK(ready.post("/v1/duplicates?threshold=1", album, kForm).status == 200);
    ready.engine.fill(2300);
    check_error(ready.post("/v1/duplicates", album, kForm), 429, "queue_full");
}

TEST_CASE("duplicates: a comparison that fails is the request's error, and the next one is made") {
    Ready ready;
    const std::string album = form_of({{"a", "1"}, {"b", "1"}});
    ready.engine.refuse_comparison();
    check_error(ready.post("/v1/duplicates", album, kForm), 503, "out_of_memory");
    CHECK(ready.post("/v1/embed", album, kForm).status == 200);
}

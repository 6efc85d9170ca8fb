#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/serve/served.h"

using namespace yeoul;
using namespace yeoul::serve;
using namespace yeoul::test;
using nlohmann::json;

namespace {

HttpReply infer(Ready& ready, const std::string& body, std::vector<Header> headers = {},
                const std::string& path = "/v2/models/clip/infer") {
    return ready.post(path, body, std::move(headers));
}

// "abc" and "bad one" in base64
const std::string kPhoto = "YWJj", kBad = "YmFkIG9uZQ==";

std::string body_of(const std::string& data, const std::string& shape, const std::string& more = "",
                    const std::string& name = "IMAGE") {
    return R"({"inputs":[{"name":")" + name + R"(","datatype":"BYTES","shape":)" + shape +
           R"(,"data":)" + data + "}]" + more + "}";
}

void check_says(const HttpReply& reply, int status, const std::string& part) {
    CAPTURE(reply.body);
    CHECK(reply.status == status);
    CHECK(json::parse(reply.body)["error"].get<std::string>().find(part) != std::string::npos);
}

} // namespace

TEST_CASE("kserve: photos in base64, bare or as data URIs, flat or nested") {
    Ready ready;
    for (const char* data : {R"(["YWJj"])", R"([["YWJj"]])", R"(["data:image/png;base64,YWJj"])"}) {
        const HttpReply reply = infer(ready, body_of(data, "[1,1]", R"(,"id":"7")"));
        REQUIRE(reply.status == 200);
        const json body = json::parse(reply.body);
        CHECK(body["id"] == "7");
        const std::string empty = infer(ready, body_of(data, "[1,1]", R"(,"id":"")")).body;
        CHECK(json::parse(empty)["id"] == "");
        CHECK(!json::parse(infer(ready, body_of(data, "[1,1]")).body).contains("id"));
        CHECK(body["outputs"][0]["data"] == json({3, 294, 97, 0}));
        CHECK(body["outputs"][0]["shape"] == json({1, 4}));
    }
    CHECK(infer(ready, body_of(R"(["YWJj"])", "[1]")).status == 200);
}

TEST_CASE("kserve: a bare file with a JSON length of zero is one photo") {
    Ready ready;
    const HttpReply reply = infer(ready, "abc", {{"Inference-Header-Content-Length", "0"}});
    REQUIRE(reply.status == 200);
    CHECK(reply.content_type == "application/octet-stream");
    CHECK(reply.headers[0].name == "Inference-Header-Content-Length");
}

TEST_CASE("kserve: one output may be asked for either way, others are not known") {
    Ready ready;
    const std::string photo = R"(["YWJj"])";
    const HttpReply binary =
        infer(ready,
              body_of(photo, "[1]",
                      R"(,"outputs":[{"name":"image_embeds","parameters":{"binary_data":true}}])"));
    CHECK(binary.content_type == "application/octet-stream");
    const HttpReply text = infer(
        ready,
        body_of(photo, "[1]",
                R"(,"parameters":{"binary_data_output":true},"outputs":[{"name":"image_embeds",
        "parameters":{"binary_data":false}}])"));
    CHECK(text.content_type == "application/json");
    check_says(infer(ready, body_of(photo, "[1]", R"(,"outputs":[{"name":"logits"}])")), 400,
               "'logits'");
    check_says(infer(ready, body_of(photo, "[1]",
                                    R"(,"outputs":[{"name":"image_embeds",
                                    "parameters":{"classification":3}}])")),
               400, "classification");
}

TEST_CASE("kserve: priority and timeout go to the engine") {
    Ready ready;
    const std::string photo = R"(["YWJj"])";
    infer(ready, body_of(photo, "[1]", R"(,"parameters":{"priority":1})"));
    CHECK(ready.engine.last_priority() == Priority::interactive);
    CHECK(!ready.engine.last_deadline());
    infer(ready, body_of(photo, "[1]", R"(,"parameters":{"priority":2,"timeout":100000})"));
    CHECK(ready.engine.last_priority() == Priority::bulk);
    CHECK(ready.engine.last_deadline());
}

TEST_CASE("kserve: what the model does not take is named") {
    Ready ready;
    check_says(infer(ready, body_of(R"(["YWJj"])", "[1]", "", "pixel_values")), 400,
               "'pixel_values'");
    check_says(infer(ready, R"({"inputs":[{"name":"IMAGE","datatype":"FP32","shape":[1],
                            "data":[1]}]})"),
               400, "datatype FP32");
    check_says(infer(ready, body_of(R"(["YWJj","YWJj"])", "[1,2]")), 400, "shape [1,2]");
    check_says(infer(ready, body_of("[]", "[0,1]")), 400, "no photo");
    check_says(infer(ready, body_of(R"(["not base64!"])", "[1]")), 400, "IMAGE[0]");
    check_says(infer(ready, "{"), 400, "not valid JSON");
}

TEST_CASE("kserve: a tensor has no place for one photo's error, so the request has it") {
    Ready ready;
    check_says(infer(ready, body_of("[\"" + kPhoto + "\",\"" + kBad + "\"]", "[2,1]")), 400,
               "IMAGE[1]: the bytes are no image");
    CHECK(infer(ready, body_of(R"(["YWJj"])", "[1]")).status == 200);
}

TEST_CASE("kserve: other models and versions are not here") {
    Ready ready;
    const std::string body = body_of(R"(["YWJj"])", "[1]");
    check_says(infer(ready, body, {}, "/v2/models/vit/infer"), 404, "'vit'");
    check_says(infer(ready, body, {}, "/v2/models/clip/versions/2/infer"), 404, "'2'");
    CHECK(infer(ready, body, {}, "/v2/models/clip/versions/1/infer").status == 200);
    for (const char* path : {"/v2/models/vit", "/v2/models/vit/config", "/v2/models/vit/ready",
                             "/v2/models/vit/stats", "/v2/models/clip/versions/9"})
        CHECK(ask(ready.service, "GET", path).status == 404);
    check_says(ask(ready.service, "POST", "/v2/repository/models/clip/load"), 501, "not loaded");
    for (const char* path : {"/v2/trace/setting", "/v2/logging", "/v2/systemsharedmemory/status"})
        CHECK(ask(ready.service, "GET", path).status == 404);
}

TEST_CASE("openai: what is no photo names its place, and the whole request has its error") {
    Ready ready;
    const auto embeddings = [&](const std::string& body) {
        return ask(ready.service, "POST", "/v1/embeddings", body);
    };
    const std::string uri = R"("data:image/jpeg;base64,YWJj")";
    CHECK(embeddings(R"({"input":)" + uri + "}").status == 200);
    check_says(embeddings(R"({"input":[)" + uri + R"(,"http://example.com/a.jpg"]})"), 400,
               "input 1: addresses are not fetched");
    check_says(embeddings(R"({"input":[)" + uri + R"(,"data:;base64,YmFkIG9uZQ=="]})"), 400,
               "input 1: the bytes are no image");
    check_says(embeddings(R"({"input":["a photo of a cat"]})"), 400, "input 0");
    check_says(embeddings(R"({"input":[7]})"), 400, "input 0");
    check_says(embeddings(R"({"input":[]})"), 400, "no photo");
    check_says(embeddings(R"({"inputs":[]})"), 400, "'input'");
    check_says(embeddings("[]"), 400, "'input'");
    check_says(embeddings(R"({"model":"vit","input":)" + uri + "}"), 404, "'vit'");
    check_says(embeddings(R"({"modality":"text","input":)" + uri + "}"), 400, "'text'");
    check_says(embeddings(R"({"encoding_format":"hex","input":)" + uri + "}"), 400, "'hex'");
    check_says(embeddings(R"({"dimensions":2,"input":)" + uri + "}"), 400, "dimensions is 2");
    const HttpReply raw = embeddings(R"({"normalize":false,"dimensions":4,"input":)" + uri + "}");
    CHECK(json::parse(raw.body)["data"][0]["embedding"][3] == 0);
}

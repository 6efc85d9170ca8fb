// Host memory that runs out in the server, at each allocation in turn: the request is answered, or
// it is told so, or its connection ends; the next one is answered, and the books balance.
#include <doctest/doctest.h>

#include <thread>

#include "tests/serve/served.h"
#include "tests/support/failing_new.h"
#include "tests/support/sanitizers.h"

using namespace yeoul;
using namespace yeoul::test;
using nlohmann::json;

namespace {

serve::ServerOptions quick() {
    serve::ServerOptions options = any_port();
    options.threads = 1;
    options.timeout_precision = std::chrono::milliseconds(5); // it is the sweep that answers, then
    return options;
}

struct Sweep {
    int answered = 0, told = 0, closed = 0;
};

/// Asks, with an engine that waits until the server has looked whether the client is there.
RawReply ask_watched(Served& served, RawClient& client, const std::string& bytes) {
    served.engine.hold();
    client.send(bytes);
    client.half_close();
    try {
        client.read_interim();
    } catch (const std::runtime_error&) { // the request is told, or its connection has ended
    }
    served.engine.release();
    return client.read_reply();
}

RawReply ask_at_once(Served&, RawClient& client, const std::string& bytes) {
    client.send(bytes);
    return client.read_reply();
}

/// One request after the other, each on a connection of its own, with a later allocation that
/// fails, and those after it, `times` in all, until none does.
Sweep sweep(Served& served, const std::string& bytes, int64_t step, decltype(ask_at_once)* ask,
            int64_t times = 1) {
    Sweep sweep;
    for (int64_t nth = 1;; nth += step) {
        CAPTURE(nth);
        RawReply reply;
        bool failed = false;
        {
            RawClient client(served.port());
            const FailingNew fault(nth, FailingNew::others, times);
            reply = ask(served, client, bytes);
            failed = fault.failed();
        }
        if (reply.status == 0) {
            ++sweep.closed;
        } else if (reply.status == 200) {
            ++sweep.answered;
        } else {
            CAPTURE(reply.body);
            CHECK((reply.status == 503 || reply.status == 500));
            const json body = json::parse(reply.body);
            CHECK((body["code"] == "out_of_memory" || body["code"] == "internal"));
            ++sweep.told;
        }
        REQUIRE(served.answers());
        if (!failed)
            break;
    }
    while (served.server.counts().connections > 0) // the last ones are about to end
        std::this_thread::yield();
    CHECK(served.server.counts().buffered_bytes == 0);
    return sweep;
}

} // namespace

TEST_CASE("host memory: a request that there is none for takes nobody along") {
    Served served(quick());
    const int64_t step = kSanitized ? 7 : 1;
    const Sweep photo = sweep(served, request("POST", "/v1/embed", "photo"), step, ask_at_once);
    CHECK(photo.told > 0);
    const Sweep watched = sweep(served, request("POST", "/v1/embed", "photo"), step, ask_watched);
    CHECK(watched.told > 0);
    CHECK(watched.answered > 0);
    const Sweep form =
        sweep(served,
              request("POST", "/v1/duplicates", form_of({{"a", "one"}, {"b", "one"}}),
                      "Content-Type: multipart/form-data; boundary=b\r\n"),
              step, ask_at_once);
    CHECK(form.told > 0);
    CHECK(form.answered > 0);
}

TEST_CASE("host memory: none for a while ends connections at most, and keeps none") {
    Served served(quick());
    const int64_t step = kSanitized ? 7 : 1;
    for (const auto& bytes : {request("POST", "/v1/embed", "photo"), request("GET", "/v1/stats"),
                              request("PUT", "/v1/labels", R"({"labels":["cat","dog"]})")}) {
        const Sweep replies = sweep(served, bytes, step, ask_at_once, 20);
        CHECK(replies.closed > 0);
        CHECK(replies.answered > 0);
    }
}

TEST_CASE("host memory: JSON is read, written and thrown away without it") {
    Served served(quick());
    const std::string deep =
        std::string(24, '[') + R"({"a":[1,"two",{"b":[null,true]}],"c":{}})" + std::string(24, ']');
    std::string wide = "[";
    for (int i = 0; i < 100; ++i)
        wide += R"([{"a string of more bytes than a string holds":[]}],)";
    wide += deep + "]";
    const std::string photo = R"("data:image/jpeg;base64,cGhvdG8=")",
                      infer = "/v2/models/clip/infer";
    struct {
        std::string method, target, body = "";
        int64_t step = 1;
    } const requests[] = {
        {"PUT", "/v1/labels", R"({"labels":["a label of more bytes than a string holds","dog"]})"},
        {"GET", "/v1/labels"},
        {"GET", "/v1/stats"},
        {"GET", "/v2"},
        {"GET", "/v2/models"},
        {"GET", "/v2/models/clip"},
        {"GET", "/v2/models/clip/config"},
        {"GET", "/v2/models/clip/stats"},
        {"POST", "/v2/repository/index"},
        {"GET", "/v1/models"},
        {"POST", "/v1/embeddings", R"({"input":)" + photo + R"(,"more":)" + deep + "}"},
        {"POST", "/v1/embeddings", R"({"input":[)" + photo + R"(],"more":)" + wide + "}", 5},
        {"POST", infer,
         R"({"inputs":[{"name":"IMAGE","datatype":"BYTES","shape":[1,1],"data":[[)" + photo +
             R"(]]}],"parameters":{"more":)" + wide + "}}",
         5}};
    for (const auto& one : requests) {
        CAPTURE(one.target);
        const int64_t step = kSanitized ? 7 * one.step : one.step;
        const Sweep replies =
            sweep(served, request(one.method, one.target, one.body), step, ask_at_once);
        CHECK(replies.told > 0);
        CHECK(replies.answered > 0);
    }
}

TEST_CASE("host memory: labels that there is none for leave the old ones and a way for new ones") {
    FakeEngine engine;
    serve::LabelBoard board;
    REQUIRE(board.reserve());
    board.replace(engine, {.names = {"old"}});
    const Labels labels{.names = {"a label of more bytes than a string holds", "dog"}};
    int refusals = 0;
    for (bool replaced = false; !replaced;) {
        REQUIRE(board.reserve());
        try {
            const FailingNew fault(refusals + 1, FailingNew::this_one);
            board.replace(engine, labels);
            replaced = true;
        } catch (const std::bad_alloc&) {
            ++refusals;
            REQUIRE(board.labels()->names.front() == "old");
        }
    }
    CHECK(refusals >= 3);
    CHECK(board.labels()->names == labels.names);
}

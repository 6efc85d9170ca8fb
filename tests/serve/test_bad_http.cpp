#include <doctest/doctest.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/serve/served.h"

using namespace yeoul;
using namespace yeoul::serve;
using namespace yeoul::test;
using nlohmann::json;

namespace {

/// The server answers `status` with a JSON error and closes; the next client is answered.
void check_refused(const Served& served, const std::string& bytes, int status,
                   bool half_close = false) {
    CAPTURE(bytes.substr(0, 120));
    RawClient client(served.port());
    client.send(bytes);
    if (half_close)
        client.half_close();
    const RawReply reply = client.read_reply();
    CHECK(reply.status == status);
    REQUIRE(json::accept(reply.body));
    const json body = json::parse(reply.body);
    CHECK(body["error"].is_string());
    CHECK(body["code"].is_string());
    CHECK(served.answers());
}

ServerOptions impatient() {
    ServerOptions options = any_port();
    options.idle_timeout = std::chrono::milliseconds(100);
    options.header_timeout = std::chrono::milliseconds(100);
    options.transfer_grace = std::chrono::milliseconds(100);
    options.timeout_precision = std::chrono::milliseconds(5);
    return options;
}

} // namespace

TEST_CASE("bad http: what is no HTTP gets a 400 and a JSON error") {
    const Served served;
    const std::string texts[] = {
        "\r\n\r\n\r\nnonsense\r\n\r\n",
        "GET\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET / HTTP/0.9\r\nHost: a\r\n\r\n",
        "GET / HTTX/1.1\r\nHost: a\r\n\r\n",
        "G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost a\r\n\r\n",
        "GET / HTTP/1.1\r\nHo st: a\r\n\r\n",
        "GET / HTTP/1.1\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + std::string(300, 'x') +
            "\r\n\r\n",           // TLS
        "GET / HTTP/1.1\r\n\r\n", // no Host
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST /v1/embed HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "POST /v1/embed HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST /v1/embed HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /v1/embed HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST /v1/embed HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST /v1/embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \r\n\r\n",
        "POST /v1/embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "POST /v1/embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
        "POST /v1/embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
        "chunked\r\n\r\nfffffffffffffffff\r\n",
    };
    for (const std::string& text : texts)
        check_refused(served, text, 400);
}

TEST_CASE("bad http: a request cut off in its head or its body gets a 400") {
    const Served served;
    const std::string whole = request("POST", "/v1/embed", "photo");
    for (size_t size :
         {size_t{1}, size_t{10}, whole.size() - 6, whole.size() - 5, whole.size() - 1})
        check_refused(served, whole.substr(0, size), 400, true);
    check_refused(served,
                  "POST /v1/embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
                  400, true);
}

TEST_CASE("bad http: header bombs get a 431") {
    const Served served;
    const std::string start = "GET / HTTP/1.1\r\nHost: a\r\n";
    check_refused(served, start + "X: " + std::string(20'000, 'x') + "\r\n\r\n", 431);
    std::string many = start;
    for (int i = 0; i < 5000; ++i)
        many += "X" + std::to_string(i) + ": 1\r\n";
    check_refused(served, many + "\r\n", 431);
    check_refused(served, "GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n",
                  431);
}

TEST_CASE("bad http: bodies over the limit get a 413 before they are read, or when they pass it") {
    ServerOptions options = any_port();
    options.max_body_bytes = 300'000;
    const Served served(options);
    check_refused(served, "POST /v1/embed HTTP/1.1\r\nHost: a\r\nContent-Length: 300001\r\n\r\n",
                  413);
    check_refused(
        served, "POST /v1/embed HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n",
        413);
    std::string chunks = "POST /v1/embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (int i = 0; i < 40; ++i)
        chunks += "2000\r\n" + std::string(0x2000, 'x') + "\r\n";
    check_refused(served, chunks, 413);
    check_refused(served,
                  "POST /v1/embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                  "chunked\r\n\r\n7fffffffffffffff\r\n",
                  413);
    RawClient client(served.port());
    client.send(request("POST", "/v1/embed", std::string(300'000, 'x')));
    CHECK(client.read_reply().status == 200);
}

TEST_CASE("bad http: an endless chunk extension or trailer ends the connection with an error") {
    const Served served;
    const std::string head =
        "POST /v1/embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    check_refused(served, head + "5;" + std::string(200'000, 'x'), 400);
    check_refused(served, head + "0\r\nX: " + std::string(200'000, 'x'), 400);
}

TEST_CASE("bad http: a refused small body leaves the connection for the next request") {
    const Served served;
    RawClient client(served.port());
    client.send(request("POST", "/v1/nothing", std::string(50'000, 'x')) +
                request("POST", "/v1/embed", "photo"));
    CHECK(client.read_reply().status == 404);
    CHECK(client.read_reply().status == 200);
}

TEST_CASE("bad http: a refused large upload can read its refusal") {
    ServerOptions options = any_port();
    options.max_body_bytes = 1 << 20;
    const Served served(options);
    RawClient client(served.port());
    // More than socket buffers take: the client is still sending when it is refused.
    client.send(request("POST", "/v1/embed", std::string(30 << 20, 'x')));
    CHECK(client.read_reply().status == 413);
}

TEST_CASE("bad http: a head that trickles gets a 408, whatever keeps coming") {
    const Served served(impatient());
    RawClient client(served.port());
    client.send("GET / HTTP/1.1\r\nX: ");
    CHECK(client.trickle("x"));
    CHECK(client.read_reply().status == 408);
    CHECK(served.answers());
}

TEST_CASE("bad http: a body that trickles gets a 408, sized or chunked") {
    const Served served(impatient());
    const std::pair<const char*, const char*> kinds[] = {
        {"Content-Length: 100000\r\n", "x"}, {"Transfer-Encoding: chunked\r\n", "1\r\nx\r\n"}};
    for (const auto& [header, piece] : kinds) {
        RawClient client(served.port());
        client.send("POST /v1/embed HTTP/1.1\r\nHost: a\r\n" + std::string(header) + "\r\n");
        CHECK(client.trickle(piece));
        CHECK(client.read_reply().status == 408);
    }
    CHECK(served.answers());
}

TEST_CASE("bad http: connections that say nothing are closed") {
    const Served served(impatient());
    RawClient silent(served.port()), after_one(served.port());
    after_one.send(request("GET", "/v2/health/live"));
    CHECK(after_one.read_reply().status == 200);
    CHECK(silent.at_end());
    CHECK(after_one.at_end());
}

TEST_CASE("bad http: a client that never reads is closed") {
    ServerOptions options = impatient();
    const Served served(options);
    RawClient client(served.port());
    std::string requests; // their replies are more than the socket buffers take
    for (int i = 0; i < 2000; ++i)
        requests += request("GET", "/metrics");
    client.send(requests);
    while (served.server.counts().connections > 0)
        std::this_thread::yield();
    CHECK(served.answers());
}

TEST_CASE("bad http: announced bodies that never come hold no memory") {
    const Served served;
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 50; ++i) {
        clients.push_back(std::make_unique<RawClient>(served.port()));
        clients.back()->send(
            "POST /v1/embed HTTP/1.1\r\nHost: a\r\nContent-Length: 60000000\r\n\r\nx");
    }
    CHECK(served.answers());
    CHECK(served.server.counts().buffered_bytes < 20'000'000); // of 3 GB announced
}

TEST_CASE("bad http: wrong keys are refused before the body is read") {
    ServiceOptions options = clip_options();
    options.api_keys = {"secret"};
    const Served served(any_port(), options);
    RawClient client(served.port());
    client.send("POST /v1/embed HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer guess\r\n"
                "Content-Length: 60000000\r\n\r\n");
    CHECK(client.read_reply().status == 401);
    RawClient right(served.port());
    right.send(request("POST", "/v1/embed", "photo", "Authorization: Bearer secret\r\n"));
    CHECK(right.read_reply().status == 200);
}

TEST_CASE("bad http: a body that stands still does not hold up the end of the server") {
    ServerOptions options = impatient();
    options.least_bytes_per_second = 1; // by itself it would have a day
    Served served(options);
    RawClient client(served.port());
    const std::string text =
        request("POST", "/v1/embed", std::string(100'000, 'x'), "Expect: 100-continue\r\n");
    client.send(text.substr(0, text.size() - 100'000));
    client.read_interim();
    client.send(std::string(90'000, 'x'));
    served.service.drain();
    served.server.drain();
    const RawReply reply = client.read_reply();
    CHECK(reply.status == 503); // its time was not up: the server is ending
    CHECK(json::parse(reply.body)["code"] == "draining");
    CHECK(served.server.counts().connections == 0);
}

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/serve/served.h"

using namespace yeoul;
using namespace yeoul::serve;
using namespace yeoul::test;
using nlohmann::json;

namespace {

float first_value(const RawReply& reply) {
    return json::parse(reply.body)["embedding"][0];
}

/// Looks soon, and often, whether clients are still there.
ServerOptions watchful() {
    ServerOptions options = any_port();
    options.timeout_precision = std::chrono::milliseconds(5);
    return options;
}

} // namespace

TEST_CASE("http: a connection is kept for the next request") {
    Served served;
    RawClient client(served.port());
    for (int i = 1; i <= 3; ++i) {
        client.send(request("POST", "/v1/embed", std::string(static_cast<size_t>(i), 'x')));
        const RawReply reply = client.read_reply();
        CHECK(reply.status == 200);
        CHECK(reply.headers.at("content-type") == "application/json");
        CHECK(reply.headers.contains("date"));
        CHECK(first_value(reply) == static_cast<float>(i));
    }
    CHECK(served.server.counts().accepted == 1);
}

TEST_CASE("http: requests sent ahead are answered in order") {
    Served served;
    RawClient client(served.port());
    std::string all;
    for (int i = 1; i <= 20; ++i)
        all += request("POST", "/v1/embed", std::string(static_cast<size_t>(i * 100), 'x'));
    client.send(all);
    for (int i = 1; i <= 20; ++i)
        CHECK(first_value(client.read_reply()) == static_cast<float>(i * 100));
}

TEST_CASE("http: requests sent ahead while the engine works are answered in order") {
    Served served;
    served.engine.hold();
    RawClient client(served.port());
    client.send(request("POST", "/v1/embed", "x"));
    served.engine.wait_for_held(1);
    // More than is kept aside while a request is worked on.
    const size_t sizes[] = {50'000, 150'000, 7};
    std::thread sender([&] {
        for (size_t size : sizes)
            client.send(request("POST", "/v1/embed", std::string(size, 'y')));
    });
    served.engine.release();
    CHECK(first_value(client.read_reply()) == 1);
    for (size_t size : sizes)
        CHECK(first_value(client.read_reply()) == static_cast<float>(size));
    sender.join();
}

TEST_CASE("http: a body that comes byte by byte, or in one piece with its head, is the same") {
    Served served;
    RawClient client(served.port());
    const std::string whole = request("POST", "/v1/embed", "photo");
    for (char byte : whole)
        client.send({&byte, 1});
    const RawReply slow = client.read_reply();
    client.send(whole);
    CHECK(first_value(slow) == 5);
    CHECK(first_value(client.read_reply()) == 5);
}

TEST_CASE("http: bodies around the step that they are read in are whole") {
    Served served;
    RawClient client(served.port());
    for (size_t size : {size_t{1}, size_t{4096}, size_t{262143}, size_t{262144}, size_t{262145},
                        size_t{1000003}}) {
        client.send(request("POST", "/v1/embed", std::string(size, '\1')));
        const json embedding = json::parse(client.read_reply().body)["embedding"];
        CHECK(embedding[0] == static_cast<float>(size));
        CHECK(embedding[1] == static_cast<float>(size)); // the sum of its bytes
    }
}

TEST_CASE("http: chunked bodies are read, with the next request behind them") {
    Served served;
    RawClient client(served.port());
    const std::string head =
        "POST /v1/embed HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(head + "5;ext=1\r\nabcde\r\n3\r\nxyz\r\n0\r\nTrailer: 1\r\n\r\n" +
                request("POST", "/v1/embed", "1234"));
    CHECK(first_value(client.read_reply()) == 8);
    CHECK(first_value(client.read_reply()) == 4);
    std::string big = head;
    for (int i = 0; i < 300; ++i)
        big += "1000\r\n" + std::string(0x1000, 'z') + "\r\n";
    client.send(big + "0\r\n\r\n");
    CHECK(first_value(client.read_reply()) == 300 * 0x1000);
}

TEST_CASE("http: a client that asks whether to send is told before it does") {
    Served served;
    RawClient client(served.port());
    const std::string expect = "Expect: 100-continue\r\n";
    const std::string whole = request("POST", "/v1/embed", "photo", expect);
    client.send(whole.substr(0, whole.size() - 5));
    client.read_interim();
    client.send("photo");
    CHECK(client.read_reply().status == 200);
    CHECK(client.interim_replies() == 0); // it was told once
    client.send(whole);                   // without waiting for the word, which is legal
    CHECK(client.read_reply().status == 200);
}

TEST_CASE("http: a refusal does not wait for the body") {
    ServerOptions options = any_port();
    options.header_timeout = std::chrono::hours(1);
    Served served(options);
    const std::string body(50'000, 'x');
    const auto head = [&](const char* headers) {
        const std::string whole = request("POST", "/v1/nothing", body, headers);
        return whole.substr(0, whole.size() - body.size());
    };
    RawClient asks(served.port());
    asks.send(head("Expect: 100-continue\r\n"));
    const RawReply refused = asks.read_reply();
    CHECK(refused.status == 404);
    CHECK(refused.headers.at("connection") == "close"); // whether a body comes is open
    CHECK(asks.interim_replies() == 0);
    CHECK(asks.at_end());
    RawClient slow(served.port());
    slow.send(head(""));
    CHECK(slow.read_reply().status == 404);
    slow.send(body + request("POST", "/v1/embed", "photo"));
    CHECK(slow.read_reply().status == 200);
}

TEST_CASE("http: HEAD has the length of the reply and no body") {
    Served served;
    RawClient client(served.port());
    client.send(request("HEAD", "/v2/health/live") + request("GET", "/v2/health/live"));
    CHECK(client.read_reply(true).headers.at("content-length") == "13");
    CHECK(client.read_reply().body == R"({"live":true})");
}

TEST_CASE("http: HTTP/1.0 and 'Connection: close' end the connection after the reply") {
    Served served;
    for (const char* text :
         {"GET /v2/health/live HTTP/1.0\r\n\r\n",
          "GET /v2/health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"}) {
        RawClient client(served.port());
        client.send(text);
        CHECK(client.read_reply().status == 200);
        CHECK(client.at_end());
    }
    RawClient kept(served.port());
    kept.send("GET /v2/health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
              "GET /v2/health/live HTTP/1.0\r\n\r\n");
    CHECK(kept.read_reply().status == 200);
    CHECK(kept.read_reply().status == 200);
}

TEST_CASE("http: a client that finished sending is answered") {
    Served served(watchful());
    for (bool wait : {false, true}) {
        if (wait)
            served.engine.hold();
        RawClient client(served.port());
        client.send(request("POST", "/v1/embed", "photo"));
        client.half_close();
        if (wait) {
            served.engine.wait_for_held(1);
            client.read_interim();
            served.engine.release(); // a photo that was given up gets a 503
        }
        CHECK(client.read_reply().status == 200);
        CHECK(client.interim_replies() == 0); // one for a request, at most
        CHECK(client.at_end());
    }
}

TEST_CASE("http: what was sent before the client finished sending is answered") {
    Served served(watchful());
    served.engine.hold();
    RawClient client(served.port());
    client.send(request("POST", "/v1/embed", "photo") + request("POST", "/v1/embed", "a photo") +
                request("GET", "/v2/health/live"));
    client.half_close();
    served.engine.wait_for_held(1);
    client.read_interim(); // the server knows that nothing more comes
    served.engine.release();
    CHECK(first_value(client.read_reply()) == 5);
    CHECK(first_value(client.read_reply()) == 7);
    CHECK(client.read_reply().status == 200);
    CHECK(client.at_end());
}

TEST_CASE("http: a client that finished sending and reads nothing holds nobody up") {
    ServerOptions options = watchful();
    options.threads = 1;
    Served served(options);
    served.engine.hold();
    RawClient client(served.port());
    client.send(request("POST", "/v1/embed", "photo"));
    served.engine.wait_for_held(1);
    // As replies would that the client does not read: there is no room for an interim one.
    client.fill_from_the_other_side();
    client.half_close();
    RawClient other(served.port());
    const Clock::time_point end = Clock::now() + 20 * options.timeout_precision;
    bool alive = true;
    while (alive && Clock::now() < end) {
        client.fill_from_the_other_side(); // what arrives meanwhile makes room
        other.send(request("GET", "/v2/health/live"));
        alive = other.read_reply().status == 200;
    }
    CHECK(alive);
    client.reset();
    served.engine.wait_until_cancelled(0);
}

TEST_CASE("http: photos of a client that is gone are given up") {
    Served served;
    served.engine.hold();
    {
        RawClient reset(served.port()), closed(served.port());
        reset.send(request("POST", "/v1/embed", "photo"));
        served.engine.wait_for_held(1);
        closed.send(request("POST", "/v1/embed", "photo"));
        served.engine.wait_for_held(2);
        reset.reset();
    }
    served.engine.wait_until_cancelled(0);
    served.engine.wait_until_cancelled(1);
    served.engine.release();
    CHECK(served.answers());
}

TEST_CASE("http: connections over the limit are refused, and taken again when there is room") {
    ServerOptions options = any_port();
    options.max_connections = 2;
    Served served(options);
    auto first = std::make_unique<RawClient>(served.port());
    RawClient second(served.port());
    for (RawClient* client : {first.get(), &second}) {
        client->send(request("GET", "/v2/health/live"));
        CHECK(client->read_reply().status == 200);
    }
    RawClient third(served.port());
    const RawReply refused = third.read_reply();
    CHECK(refused.status == 503);
    CHECK(json::parse(refused.body)["code"] == "too_many_connections");
    CHECK(served.server.counts().refused_too_many == 1);
    first->send("GET /v2/health/live HTTP/1.0\r\n\r\n");
    CHECK(first->read_reply().status == 200);
    CHECK(first->at_end());
    first.reset();
    RawReply reply; // the refused one lingers until it is closed
    third.half_close();
    CHECK(third.at_end());
    for (int attempt = 0; attempt < 1000 && reply.status != 200; ++attempt) {
        RawClient fourth(served.port());
        fourth.send(request("GET", "/v2/health/live"));
        reply = fourth.read_reply();
    }
    CHECK(reply.status == 200);
}

TEST_CASE("http: bodies over the server's memory are refused, and taken when there is room") {
    ServerOptions options = any_port();
    options.max_buffered_bytes = 1 << 20;
    Served served(options);
    served.engine.hold();
    RawClient first(served.port()), second(served.port());
    const std::string big = request("POST", "/v1/embed", std::string(900'000, 'x'));
    first.send(big);
    served.engine.wait_for_held(1);
    CHECK(served.server.counts().buffered_bytes == 900'000);
    second.send(big);
    const RawReply refused = second.read_reply();
    CHECK(refused.status == 429);
    CHECK(refused.headers.at("retry-after") == "1");
    CHECK(json::parse(refused.body)["code"] == "queue_full");
    const std::string metrics = ask(served.service, "GET", "/metrics").body;
    CHECK(metrics.find("yeoul_requests_total{route=\"/v1/embed\",status=\"429\"} 1\n") !=
          std::string::npos);
    CHECK(metrics.find("reason=\"REJECTED\",version=\"1\"} 1\n") != std::string::npos);
    served.engine.release();
    CHECK(first.read_reply().status == 200);
    RawClient third(served.port());
    RawReply reply;
    third.send(big);
    CHECK(third.read_reply().status == 200);
}

TEST_CASE("http: a body that the server's memory could never hold is refused for good") {
    ServerOptions options = any_port();
    options.max_buffered_bytes = 300'000;
    Served served(options);
    const std::string chunked = "POST /v1/embed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                                "chunked\r\n\r\n";
    const std::string chunk = "493e0\r\n" + std::string(300'000, 'x') + "\r\n";
    for (const std::string& whole :
         {request("POST", "/v1/embed", std::string(300'000, 'x')), chunked + chunk + "0\r\n\r\n"}) {
        RawClient client(served.port());
        client.send(whole);
        CHECK(client.read_reply().status == 200);
    }
    for (const std::string& whole : {request("POST", "/v1/embed", std::string(300'001, 'x')),
                                     chunked + chunk + "1\r\nx\r\n0\r\n\r\n"}) {
        RawClient client(served.port());
        client.send(whole);
        const RawReply refused = client.read_reply();
        CHECK(refused.status == 413);
        CHECK(!refused.headers.contains("retry-after"));
        CHECK(json::parse(refused.body)["error"].get<std::string>().find("300000") !=
              std::string::npos);
    }
}

TEST_CASE("http: the service knows the transport's counts from the first request on") {
    Served served;
    RawClient client(served.port());
    client.send(request("GET", "/v1/stats"));
    CHECK(json::parse(client.read_reply().body)["connections"] == 1);
}

TEST_CASE("http: each reply to a request says what time it took") {
    ServiceOptions service_options = clip_options();
    service_options.api_keys = {"key"};
    ServerOptions options = any_port();
    options.max_body_bytes = 1000;
    Served served(options, service_options);
    const std::string key = "X-Api-Key: key\r\n";
    const std::pair<int, std::string> cases[] = {
        {200, request("POST", "/v1/embed", "photo", key)},
        {200, request("GET", "/v2", "", key)},
        {400, request("POST", "/v1/embed", "", key)},
        {401, request("POST", "/v1/embed", "photo")},
        {404, request("GET", "/nothing", "", key)},
        {413, request("POST", "/v1/embed", std::string(1001, 'x'), key)},
    };
    for (const auto& [status, text] : cases) {
        RawClient client(served.port());
        client.send(text);
        const RawReply reply = client.read_reply();
        CHECK(reply.status == status);
        REQUIRE(reply.headers.contains("server-timing"));
        CHECK(reply.headers.at("server-timing").find("total;dur=") != std::string::npos);
    }
}

TEST_CASE("http: draining answers what was accepted, closes what is idle and takes no more") {
    Served served;
    served.engine.hold();
    RawClient busy(served.port()), idle(served.port()), uploading(served.port());
    idle.send(request("GET", "/v2/health/live"));
    CHECK(idle.read_reply().status == 200);
    busy.send(request("POST", "/v1/embed", "photo"));
    served.engine.wait_for_held(1);
    const std::string expect = request("POST", "/v1/embed", "photo", "Expect: 100-continue\r\n");
    uploading.send(expect.substr(0, expect.size() - 5));
    uploading.read_interim();
    served.service.drain();
    std::thread drain([&] { served.server.drain(); });
    CHECK(idle.at_end());
    const auto knock_until_nobody_listens = [&] {
        for (;;)
            RawClient knocking(served.port());
    };
    CHECK_THROWS(knock_until_nobody_listens());
    served.engine.release();
    const RawReply answered = busy.read_reply();
    CHECK(answered.status == 200);
    CHECK(answered.headers.at("connection") == "close");
    CHECK(busy.at_end());
    uploading.send("photo");
    CHECK(uploading.read_reply().status == 200);
    drain.join();
    CHECK(served.server.counts().connections == 0);
}

TEST_CASE("http: a port that is taken is named") {
    Served served;
    ServerOptions options = any_port();
    options.port = served.port();
    CHECK_THROWS_WITH(HttpServer(options, served.service),
                      doctest::Contains(std::to_string(served.port()).c_str()));
    options.host = "no.such.host.invalid";
    CHECK_THROWS_AS(HttpServer(options, served.service), Error);
}

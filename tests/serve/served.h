// A service over the fake engine, with and without sockets.
#pragma once

#include <optional>

#include "apps/serve/http/server.h"
#include "apps/serve/service/service.h"
#include "tests/serve/fake_engine.h"
#include "tests/serve/raw_client.h"

namespace yeoul::test {

/// Asks a service as the transport does, and waits for nothing: the engine answers at once.
inline serve::HttpReply ask(serve::Service& service, serve::HttpRequest request) {
    if (request.head.content_length == 0)
        request.head.content_length = request.body.size();
    if (auto refusal = service.refuse(request.head))
        return *refusal;
    std::optional<serve::HttpReply> reply;
    service.answer(std::move(request),
                   serve::Responder([&reply](serve::Responder::Make make) { reply = make(); }));
    return reply.value();
}

inline serve::HttpReply ask(serve::Service& service, std::string method, std::string target,
                            std::string_view body = "", std::vector<serve::Header> headers = {}) {
    serve::HttpRequest request;
    request.head = {
        .method = std::move(method), .target = std::move(target), .headers = std::move(headers)};
    request.body.assign(body.begin(), body.end());
    return ask(service, std::move(request));
}

inline serve::ServiceOptions clip_options() {
    serve::ServiceOptions options;
    options.model_name = "clip";
    return options;
}

inline serve::ServerOptions any_port() {
    serve::ServerOptions options;
    options.port = 0;
    return options;
}

/// Ready when it is made.
struct Served {
    FakeEngine engine;
    serve::Service service;
    serve::HttpServer server;

    explicit Served(serve::ServerOptions options = any_port(),
                    serve::ServiceOptions service_options = clip_options())
        : service(std::move(service_options)), server(options, service) {
        service.open(engine);
    }
    ~Served() { engine.release(); } // nobody answers after the server is gone

    int port() const { return server.port(); }
    /// The service still answers, on a connection of its own.
    bool answers() const {
        RawClient client(port());
        client.send(request("POST", "/v1/embed", "photo"));
        return client.read_reply().status == 200;
    }
};

} // namespace yeoul::test

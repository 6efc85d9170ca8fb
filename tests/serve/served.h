// A service over the fake engine, with and without sockets.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "apps/serve/http/server.h"
#include "apps/serve/service/service.h"
#include "tests/serve/fake_engine.h"
#include "tests/serve/raw_client.h"

namespace yeoul::test {

/// Asks a service as the transport does, and waits for the answer.
inline serve::HttpReply ask(serve::Service& service, serve::HttpRequest request) {
    if (request.head.content_length == 0)
        request.head.content_length = request.body.size();
    if (auto refusal = service.refuse(request.head))
        return *refusal;
    const auto promise = std::make_shared<std::promise<serve::HttpReply>>();
    std::future<serve::HttpReply> reply = promise->get_future();
    service.answer(std::move(request), serve::Responder([promise](serve::Responder::Make make) {
                       try {
                           promise->set_value(make());
                       } catch (...) {
                           promise->set_exception(std::current_exception());
                       }
                   }));
    return reply.get();
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

/// Ready when it is made; without sockets.
struct Ready {
    FakeEngine engine;
    serve::Service service;
    explicit Ready(serve::ServiceOptions options = clip_options()) : service(std::move(options)) {
        service.open(engine);
    }
    serve::HttpReply post(std::string target, std::string_view body,
                          std::vector<serve::Header> headers = {}) {
        return ask(service, "POST", std::move(target), body, std::move(headers));
    }
};

/// A body of multipart/form-data with photos by their names.
inline std::string form_of(const std::vector<std::pair<std::string, std::string>>& photos) {
    std::string form;
    for (const auto& [name, bytes] : photos)
        form += "--b\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"" + name +
                "\"\r\n\r\n" + bytes + "\r\n";
    return form + "--b--\r\n";
}

inline const std::vector<serve::Header> kForm = {
    {"Content-Type", "multipart/form-data; boundary=b"}};

inline std::string header(const serve::HttpReply& reply, const std::string& name) {
    for (const serve::Header& one : reply.headers)
        if (one.name == name)
            return one.value;
    return "";
}

/// It is {"error": ..., "code": code} with that status. What it says.
inline std::string check_error(const serve::HttpReply& reply, int status, const std::string& code) {
    CAPTURE(reply.body);
    CHECK(reply.status == status);
    const nlohmann::json body = nlohmann::json::parse(reply.body);
    CHECK(body["code"] == code);
    CHECK(body["error"].get<std::string>().size() > 5);
    CHECK(body.size() == 2);
    return body["error"];
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
    ~Served() { // nobody answers after the server is gone
        engine.release();
        service.close();
    }

    int port() const { return server.port(); }
    /// The service still answers, on a connection of its own.
    bool answers() const {
        RawClient client(port());
        client.send(request("POST", "/v1/embed", "photo"));
        return client.read_reply().status == 200;
    }
};

} // namespace yeoul::test

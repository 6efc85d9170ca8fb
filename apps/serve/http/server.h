// The HTTP/1.1 server: sockets, limits and timeouts. Boost stays behind this header.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "apps/serve/http/message.h"

namespace yeoul::serve {

struct ServerOptions {
    std::string host = "127.0.0.1";
    int port = 8000; // 0 takes a free one
    int threads = 2; // they read, parse and write; the engine computes on its own
    int max_connections = 10'000;
    uint64_t max_body_bytes = 64ull << 20;
    /// Bodies of all requests that are being read or answered, together; no single one may have
    /// more.
    uint64_t max_buffered_bytes = 512ull << 20;
    std::chrono::milliseconds idle_timeout{75'000};   // between two requests
    std::chrono::milliseconds header_timeout{10'000}; // from the first byte to the head's end
    /// A body or a reply may take this and what its bytes take at `least_bytes_per_second`.
    std::chrono::milliseconds transfer_grace{20'000};
    uint64_t least_bytes_per_second = 16 << 10;
    std::chrono::milliseconds timeout_precision{250};
};

/// Each connection belongs to one thread and has one request at a time; what a client sends ahead
/// waits in the socket. A body stands once in memory, in the buffer that the handler gets.
class HttpServer {
public:
    /// Listens from here on. `application` outlives it. Throws `Error`, code `io`, when the address
    /// cannot be listened on.
    HttpServer(const ServerOptions& options, Application& application);
    /// Cuts connections. Whoever answers requests must be gone before.
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    int port() const;
    std::string address() const; // "http://127.0.0.1:8000"
    ServerCounts counts() const;

    /// Takes no new connection, closes idle ones, lets those that have a request finish it, and
    /// returns when the last is closed. Nothing that clients send or read takes longer than `grace`
    /// now, and what the timeouts' precision adds; without it, `transfer_grace`.
    void drain(std::optional<std::chrono::milliseconds> grace = {});

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace yeoul::serve

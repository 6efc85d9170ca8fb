// What the transport and the service say to each other. Nothing here knows a socket, so handlers
// are tested without one.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <yeoul/error.h>

namespace yeoul::serve {

using Clock = std::chrono::steady_clock;

struct Header {
    std::string name, value;
};

/// A request without its body, as it stands before the body is read.
struct Head {
    std::string method; // "POST"
    std::string target; // as sent: "/v1/embed?normalize=1"
    std::vector<Header> headers;
    /// Bytes of the body; empty for a chunked one. 0 where nothing says that a body follows.
    std::optional<uint64_t> content_length = 0;

    /// The value of the first header of that name in any case; empty when there is none.
    std::string_view header(std::string_view name) const;
};

struct HttpRequest {
    Head head;
    std::vector<uint8_t> body;
    /// Requested when the client is gone: nobody reads the answer any more.
    std::stop_token gone;
    Clock::time_point begun = Clock::now(); // the head was complete
    double receive_ms = 0;                  // from then to the last byte of the body
};

struct HttpReply {
    int status = 200;
    std::string content_type = "application/json";
    std::string body;
    std::vector<Header> headers = {};
};

/// `text` as a JSON string, quotes included; what is not UTF-8, as clients send it, is replaced.
std::string json_string(std::string_view text);

/// {"code": code, "error": message}; with Retry-After for a 429 and a 503.
HttpReply error_reply(int status, std::string_view code, std::string_view message);

/// The 503 of a request that the host has no memory for.
HttpReply out_of_memory_reply();

/// A refusal that no `ErrorCode` expresses: an unknown route, a missing key.
class HttpError : public std::runtime_error {
public:
    HttpError(int status, std::string code, const std::string& message)
        : std::runtime_error(message), status_(status), code_(std::move(code)) {}
    int status() const { return status_; }
    const std::string& code() const { return code_; }

private:
    int status_;
    std::string code_;
};

/// The HTTP status that stands for a code when it is the answer to a whole request.
int http_status(ErrorCode code);

/// The reply to what a handler threw; to be called while the exception is handled.
HttpReply reply_to_exception();

/// Answers one request, once, from any thread. A copy is the same answer: the first call counts,
/// and when the last copy is gone without a call, the client gets a 500.
class Responder {
public:
    using Make = std::function<HttpReply()>;
    /// `post` runs what it is given soon, on the thread that owns the connection. Where it has no
    /// memory to do so it throws std::bad_alloc, and is given a shorter reply.
    explicit Responder(std::function<void(Make)> post);

    void send(HttpReply reply) const;
    /// Makes the reply on the connection's thread: serializing is no work for an engine's thread.
    /// What `make` throws becomes the reply.
    void make(Make make) const;

private:
    struct Once;
    std::shared_ptr<Once> once_;
};

struct ServerCounts {
    int64_t connections = 0;      // now
    uint64_t buffered_bytes = 0;  // now
    int64_t accepted = 0;         // ever
    int64_t refused_too_many = 0; // ever: connections over the limit
};

/// The program behind the transport. Calls come from several threads.
class Application {
public:
    virtual ~Application() = default;
    /// Once, before any other call: how the transport's counts are asked for while it is there.
    virtual void watch_transport(std::function<ServerCounts()>) {}
    /// Looks at a request before its body is read; a reply refuses it.
    virtual std::optional<HttpReply> refuse(const Head& head) = 0;
    /// Must not block.
    virtual void answer(HttpRequest request, Responder respond) = 0;
    /// The transport answered by itself: what came was no request (`head` is null), or its body
    /// came too slowly or had no room.
    virtual void refused_by_transport(int status, const Head* head) = 0;
};

} // namespace yeoul::serve

// Connection: what comes in, with its limits and its time.
#include "apps/serve/http/connection.h"

#include <algorithm>
#include <new>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>

namespace yeoul::serve {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

constexpr size_t kIdleBuffer = 4 << 10; // of a connection that waits; most heads fit
constexpr size_t kBodyStep = 256 << 10; // stays in the second-level cache between memset and read

/// What came is no HTTP; otherwise the socket failed and nobody reads a reply.
bool is_of_protocol(const error_code& error) {
    return error.category() == error_code(http::error::bad_method).category() &&
           !ends_of_stream(error);
}

} // namespace

bool ends_of_stream(const error_code& error) {
    return error == http::error::end_of_stream || error == net::error::eof;
}

/// True when the first bytes of a request are in `buffer_`.
net::awaitable<bool> Connection::wait_for_request() {
    if (buffer_.size() > 0)
        co_return true;
    if (half_closed_ || loop_.draining)
        co_return false;
    if (buffer_.capacity() > kIdleBuffer)
        buffer_.shrink_to_fit(); // thousands of idle connections cost little
    deadline_in(options_.idle_timeout);
    for (;;) {
        idle_ = true;
        const auto [error, bytes] =
            co_await socket_.async_read_some(buffer_.prepare(kIdleBuffer), kAwait);
        idle_ = false;
        buffer_.commit(bytes);
        if (!error)
            co_return true;
        // A request that arrives while the server drains gets a reply, not a closed socket.
        error_code ignored;
        const bool more =
            error == net::error::operation_aborted && !timed_out_ && socket_.available(ignored) > 0;
        if (!more)
            co_return false;
    }
}

net::awaitable<Connection::Arrival> Connection::read_head(Parser& parser) {
    limit_head(parser);
    deadline_in(options_.header_timeout);
    const auto [error, bytes] = co_await http::async_read_header(socket_, buffer_, parser, kAwait);
    no_deadline();
    if (!error)
        co_return Arrival{.request = true};
    Arrival none;
    if (timed_out_)
        none.refusal =
            refusal_by_transport(408, "timeout", "the request's head did not arrive in time");
    else if (error == http::error::header_limit || error == http::error::buffer_overflow)
        none.refusal = refusal_by_transport(431, "head_too_large",
                                            "the request's head is over " +
                                                std::to_string(kHeadLimit) + " bytes; send less");
    else if (error == http::error::partial_message)
        none.refusal =
            refusal_by_transport(400, "bad_request", "the request ended in the middle of its head");
    else if (is_of_protocol(error))
        none.refusal =
            refusal_by_transport(400, "bad_request", "this is not HTTP/1.1: " + error.message());
    co_return none;
}

/// What passes the server's memory for bodies would be put off for ever.
uint64_t Connection::most_body_bytes() const {
    return std::min(options_.max_body_bytes, options_.max_buffered_bytes);
}

/// The client sends its body only when it is asked to.
bool Connection::waits_for_continue(const Parser& parser) const {
    return buffer_.size() == 0 && !http_1_0_ &&
           boost::beast::iequals(parser.get()[http::field::expect], "100-continue");
}

net::awaitable<std::optional<HttpReply>> Connection::read_body(Parser& parser, HttpRequest& request,
                                                               BodyCharge& charge) {
    request.begun = Clock::now();
    if (request.head.content_length && *request.head.content_length == 0)
        co_return std::nullopt;
    if (waits_for_continue(parser)) {
        deadline_in(options_.header_timeout);
        co_await net::async_write(socket_, net::buffer(kContinue.data(), kContinue.size()), kAwait);
    }
    std::optional<HttpReply> failure;
    try {
        if (request.head.content_length)
            failure = co_await read_sized(request, *request.head.content_length, charge);
        else
            failure = co_await read_chunked(parser, request, charge);
    } catch (const std::bad_alloc&) {
        application_.refused_by_transport(503, reading_);
        failure = out_of_memory_reply();
    }
    no_deadline();
    const std::chrono::duration<double, std::milli> taken = Clock::now() - request.begun;
    request.receive_ms = taken.count();
    co_return failure;
}

/// Past the parser: its body is copied through `buffer_`, which costs half of the rate.
net::awaitable<std::optional<HttpReply>> Connection::read_sized(HttpRequest& request, uint64_t size,
                                                                BodyCharge& charge) {
    std::vector<uint8_t>& body = request.body;
    const Clock::time_point begun = Clock::now();
    // The pages behind it are touched step by step: what is only announced costs nothing.
    body.reserve(size);
    for (uint64_t have = 0; have < size;) {
        const size_t step = static_cast<size_t>(std::min<uint64_t>(kBodyStep, size - have));
        if (!charge.add(step))
            co_return refusal_by_transport(429, name(ErrorCode::queue_full),
                                           "the photos that wait fill the server's memory; try "
                                           "again later");
        body.resize(have + step);
        const size_t ahead = std::min(step, buffer_.size());
        std::copy_n(static_cast<const uint8_t*>(buffer_.data().data()), ahead, body.data() + have);
        buffer_.consume(ahead);
        for (size_t got = ahead; got < step;) {
            transfer_deadline(begun, have + got);
            const auto [error, bytes] = co_await socket_.async_read_some(
                net::buffer(body.data() + have + got, step - got), kAwait);
            got += bytes;
            if (error)
                co_return body_failure(error, request.head);
        }
        have += step;
    }
    co_return std::nullopt;
}

net::awaitable<std::optional<HttpReply>>
Connection::read_chunked(Parser& parser, HttpRequest& request, BodyCharge& charge) {
    std::vector<uint8_t>& body = request.body;
    const Clock::time_point begun = Clock::now();
    const uint64_t most = most_body_bytes();
    parser.body_limit(most);
    size_t have = 0;
    while (!parser.is_done()) {
        if (!charge.add(std::min<uint64_t>(kBodyStep, most - have)))
            co_return refusal_by_transport(429, name(ErrorCode::queue_full),
                                           "the photos that wait fill the server's memory; try "
                                           "again later");
        body.resize(have + kBodyStep);
        parser.get().body().data = body.data() + have;
        parser.get().body().size = kBodyStep;
        transfer_deadline(begun, have);
        const auto [error, bytes] = co_await http::async_read(socket_, buffer_, parser, kAwait);
        have += kBodyStep - parser.get().body().size;
        if (error == http::error::body_limit)
            co_return refusal_by_transport(413, "body_too_large",
                                           "the body has more than " + std::to_string(most) +
                                               " bytes; send fewer photos at once");
        if (error && error != http::error::need_buffer)
            co_return body_failure(error, request.head);
    }
    body.resize(have);
    co_return std::nullopt;
}

HttpReply Connection::body_failure(const error_code& error, const Head& head) {
    // Who was cut off by the server's end hears what ended it.
    if (timed_out_ && loop_.draining)
        if (std::optional<HttpReply> refusal = application_.refuse(head))
            return std::move(*refusal);
    if (timed_out_)
        return refusal_by_transport(408, "timeout", "the body did not arrive in time");
    if (ends_of_stream(error) || error == http::error::partial_message)
        return refusal_by_transport(400, "bad_request",
                                    "the request ended in the middle of its body");
    return refusal_by_transport(400, "bad_request",
                                "the body is not as announced: " + error.message());
}

/// False when the client did not send it.
net::awaitable<bool> Connection::skip_body(uint64_t size) {
    const size_t ahead = static_cast<size_t>(std::min<uint64_t>(size, buffer_.size()));
    buffer_.consume(ahead);
    deadline_in(options_.header_timeout);
    for (uint64_t left = size - ahead; left > 0;) {
        char waste[4096];
        const auto [error, bytes] = co_await socket_.async_read_some(
            net::buffer(waste, static_cast<size_t>(std::min<uint64_t>(left, sizeof waste))),
            kAwait);
        left -= bytes;
        if (error)
            co_return false;
    }
    no_deadline();
    co_return true;
}

} // namespace yeoul::serve

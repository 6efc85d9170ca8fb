#include "apps/serve/http/connection.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <new>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

namespace yeoul::serve {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

constexpr unsigned kHttp10 = 10, kHttp11 = 11;
constexpr size_t kBufferLimit = 64 << 10;
constexpr uint64_t kSkipLimit = 64 << 10; // smaller refused bodies are read, to go on after them
constexpr uint64_t kLingerBytes = 64 << 20;
constexpr auto kLingerTime = std::chrono::seconds(5);

/// RFC 9110, 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT"
std::string http_date() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    char buffer[40];
    const size_t size = std::strftime(buffer, sizeof buffer, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return {buffer, size};
}

/// What each reply tells, where its maker tells no more: "total;dur=0.042", in milliseconds.
std::string total_timing(Clock::time_point begun) {
    const std::chrono::duration<double, std::milli> total = Clock::now() - begun;
    char text[40];
    std::snprintf(text, sizeof text, "total;dur=%.3f", total.count());
    return text;
}

} // namespace

bool BodyCharge::add(uint64_t bytes) {
    uint64_t before = state_.buffered_bytes;
    do {
        if (before + bytes > limit_)
            return false;
    } while (!state_.buffered_bytes.compare_exchange_weak(before, before + bytes));
    bytes_ += bytes;
    return true;
}

Connection::Connection(tcp::socket socket, const ServerOptions& options, Application& application,
                       ServerState& state, Loop& loop)
    : socket_(std::move(socket)), options_(options), application_(application), state_(state),
      loop_(loop), buffer_(kBufferLimit), wake_(socket_.get_executor()) {
    loop_.connections.insert(this);
}

Connection::~Connection() {
    leave(); // when it never began
}

void Connection::leave() {
    if (!std::exchange(present_, false))
        return;
    loop_.connections.erase(this);
    --state_.connections;
    if (loop_.draining && loop_.connections.empty() && loop_.emptied)
        loop_.emptied();
}

void Connection::start() {
    net::co_spawn(
        socket_.get_executor(), [self = shared_from_this()] { return self->serve(); },
        net::detached);
}

void Connection::start_refusing() {
    net::co_spawn(
        socket_.get_executor(), [self = shared_from_this()] { return self->refuse_connection(); },
        net::detached);
}

void Connection::sweep(Clock::time_point now) {
    if (unanswered_ && answering_ && !reply_) {
        unanswered_ = false;
        deliver(out_of_memory_reply);
    }
    if (now >= deadline_) {
        timed_out_ = true;
        // What is just done with is not cancelled: the next sweep asks again.
        deadline_ = now;
        error_code ignored;
        socket_.cancel(ignored);
    }
    // A request that is answered sooner needs nobody to watch, which costs as much as reading it.
    if (!answering_ || reply_ || watching_ || gone_.stop_requested())
        return;
    if (half_closed_)
        probe_client();
    else
        watch_client();
}

void Connection::drain() {
    drained_ = Clock::now();
    if (deadline_ != Clock::time_point::max())
        deadline_ = std::min(deadline_, drained_ + loop_.drain_grace);
    error_code ignored;
    if (idle_)
        socket_.cancel(ignored);
}

void Connection::transfer_deadline(Clock::time_point begun, uint64_t bytes) {
    timed_out_ = false;
    const std::chrono::duration<double> allowance(
        static_cast<double>(bytes) / static_cast<double>(options_.least_bytes_per_second));
    deadline_ =
        begun + options_.transfer_grace + std::chrono::duration_cast<Clock::duration>(allowance);
    if (loop_.draining)
        deadline_ = std::min(deadline_, std::max(begun, drained_) + loop_.drain_grace);
}

void Connection::deadline_in(Clock::duration duration) {
    timed_out_ = false;
    if (loop_.draining)
        duration = std::min<Clock::duration>(duration, loop_.drain_grace);
    deadline_ = Clock::now() + duration;
}

/// Destroyed with the coroutine: also where asio finds no memory to go on and drops it. What still
/// watches the client would keep the connection otherwise.
struct Connection::HangUp {
    Connection& connection;
    ~HangUp() { connection.hang_up(); }
};

net::awaitable<void> Connection::serve() {
    const HangUp at_end{*this};
    error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    socket_.non_blocking(true, ignored); // for `probe_client`
    Next next = Next::keep;
    while (next == Next::keep) {
        const bool came = co_await wait_for_request();
        if (!came)
            break;
        Parser parser;
        Arrival arrival = co_await read_head(parser);
        if (arrival.request) {
            next = co_await serve_request(parser);
        } else if (arrival.refusal) {
            next = Next::linger;
            co_await write(std::move(*arrival.refusal), kHttp11, false, false);
        } else {
            next = Next::close;
        }
    }
    if (next == Next::linger)
        co_await linger();
}

void Connection::hang_up() {
    if (std::exchange(answering_, false))
        gone_.request_stop();
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
    leave();
}

net::awaitable<void> Connection::refuse_connection() {
    const HangUp at_end{*this};
    HttpReply reply =
        refusal_by_transport(503, "too_many_connections",
                             "the server has as many connections as it may have; try again later");
    co_await write(std::move(reply), kHttp11, false, false);
    co_await linger();
}

std::optional<HttpReply> Connection::refuse(const Parser& parser, const Head& head) {
    std::optional<HttpReply> reply = refuse_head(parser, head, most_body_bytes());
    if (!reply)
        return application_.refuse(head);
    application_.refused_by_transport(reply->status, reading_);
    return reply;
}

net::awaitable<Connection::Next> Connection::serve_request(Parser& parser) {
    const unsigned version = parser.get().version();
    http_1_0_ = version == kHttp10;
    HttpRequest request{.head = head_of(parser)};
    request_begun_ = request.begun;
    const bool head_only = request.head.method == "HEAD";
    const bool keep = parser.keep_alive();
    Next next = Next::keep;

    BodyCharge charge(state_, options_.max_buffered_bytes);
    reading_ = &request.head;
    std::optional<HttpReply> reply = refuse(parser, request.head);
    uint64_t in_the_way = 0; // of a body that was refused
    if (reply) {
        in_the_way = request.head.content_length.value_or(UINT64_MAX);
        // Reading a small body is cheaper than a new connection, if it is coming.
        if (in_the_way > kSkipLimit || (in_the_way > 0 && waits_for_continue(parser)))
            next = Next::linger;
    } else {
        reply = co_await read_body(parser, request, charge);
        if (reply)
            next = Next::linger; // the rest of the body is in the way
    }
    reading_ = nullptr;
    if (!reply)
        reply = co_await answer(std::move(request));
    const bool nothing_follows = half_closed_ && buffer_.size() == 0;
    if (next == Next::keep && (!keep || loop_.draining || nothing_follows))
        next = in_the_way > 0 ? Next::linger : Next::close;
    bool goes_on = co_await write(std::move(*reply), version, next == Next::keep, head_only);
    if (goes_on && next == Next::keep && in_the_way > 0)
        goes_on = co_await skip_body(in_the_way);
    if (!goes_on)
        next = Next::close;
    co_return next;
}

net::awaitable<HttpReply> Connection::answer(HttpRequest request) {
    hand_over(std::move(request));
    answering_ = true;
    while (!reply_) {
        wake_.expires_at(Clock::time_point::max());
        co_await wake_.async_wait(kAwait);
    }
    answering_ = false;
    error_code ignored;
    if (watching_)
        socket_.cancel(ignored);
    while (watching_) {
        wake_.expires_at(Clock::time_point::max());
        co_await wake_.async_wait(kAwait);
    }
    co_return std::move(*reply_);
}

void Connection::hand_over(HttpRequest request) {
    reply_.reset();
    gone_ = std::stop_source();
    request.gone = gone_.get_token();
    unanswered_ = false;
    // The engine's threads reach this connection only through its executor. Without memory for that
    // it is the sweep that answers, and nobody waits for ever.
    Responder responder([self = shared_from_this()](Responder::Make make) {
        try {
            net::dispatch(self->socket_.get_executor(),
                          [self, make = std::move(make)] { self->deliver(make); });
        } catch (const std::bad_alloc&) {
            self->unanswered_ = true;
        }
    });
    try {
        application_.answer(std::move(request), responder);
    } catch (...) {
        responder.send(reply_to_exception());
    }
}

void Connection::deliver(const std::function<HttpReply()>& make) {
    try {
        reply_ = make();
    } catch (...) {
        try {
            reply_ = reply_to_exception();
        } catch (const std::bad_alloc&) { // the next sweep tells it
            unanswered_ = true;
            return;
        }
    }
    wake_.cancel();
}

/// Sees that the client goes while its request is worked on. What it sends ahead is kept, as far
/// as there is room.
void Connection::watch_client() {
    const size_t room = buffer_.max_size() - buffer_.size();
    if (room == 0)
        return;
    socket_.async_read_some(buffer_.prepare(std::min<size_t>(room, 4096)),
                            [self = shared_from_this()](const error_code& error, size_t bytes) {
                                self->watching_ = false;
                                self->wake_.cancel(); // looks at both again
                                self->buffer_.commit(bytes);
                                self->half_closed_ |= ends_of_stream(error);
                                if (self->reply_)
                                    return;
                                if (!error)
                                    self->watch_client();
                                else if (self->half_closed_)
                                    self->probe_client();
                                else if (error != net::error::operation_aborted)
                                    self->gone_.request_stop();
                            });
    watching_ = true; // not before: there may have been no memory to begin
}

/// The client closed its side. One that only finished sending is answered; one that is gone
/// refuses the next byte. An interim response tells them apart.
void Connection::probe_client() {
    if (http_1_0_)
        return;
    error_code error;
    const size_t sent = socket_.write_some(net::buffer(kContinue), error);
    if (error && error != net::error::would_block) {
        gone_.request_stop();
        return;
    }
    // A client that does not read what it was sent before is there, as far as one can tell.
    if (sent > 0)
        interim_rest_ = kContinue.substr(sent);
    socket_.async_wait(tcp::socket::wait_error,
                       [self = shared_from_this()](const error_code& failure) {
                           self->watching_ = false;
                           self->wake_.cancel();
                           if (failure != net::error::operation_aborted)
                               self->gone_.request_stop();
                       });
    watching_ = true;
}

net::awaitable<bool> Connection::write(HttpReply reply, unsigned version, bool keep_alive,
                                       bool head_only) {
    http::response<http::string_body> response(static_cast<http::status>(reply.status),
                                               version == kHttp10 ? kHttp10 : kHttp11);
    response.set(http::field::server, "yeoul");
    response.set(http::field::date, http_date());
    response.set(http::field::content_type, reply.content_type);
    for (const Header& header : reply.headers)
        response.set(header.name, header.value);
    const auto begun = std::exchange(request_begun_, std::nullopt);
    if (begun && response.count("Server-Timing") == 0)
        response.set("Server-Timing", total_timing(*begun));
    response.keep_alive(keep_alive);
    response.content_length(reply.body.size());
    const uint64_t bytes = reply.body.size();
    if (!head_only)
        response.body() = std::move(reply.body);
    transfer_deadline(Clock::now(), bytes);
    if (!interim_rest_.empty())
        co_await net::async_write(socket_, net::buffer(std::exchange(interim_rest_, {})), kAwait);
    http::response_serializer<http::string_body> serializer(response);
    error_code failure;
    if (head_only) {
        const auto [error, written] =
            co_await http::async_write_header(socket_, serializer, kAwait);
        failure = error;
    } else {
        const auto [error, written] = co_await http::async_write(socket_, serializer, kAwait);
        failure = error;
    }
    no_deadline();
    co_return !failure;
}

/// Closing a socket with unread bytes resets it, and the client may lose the reply: reads on for a
/// while.
net::awaitable<void> Connection::linger() {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    deadline_in(kLingerTime);
    std::vector<char> waste(16 << 10);
    for (uint64_t total = 0; total < kLingerBytes;) {
        const auto [error, bytes] = co_await socket_.async_read_some(net::buffer(waste), kAwait);
        if (error)
            break;
        total += bytes;
    }
}

HttpReply Connection::refusal_by_transport(int status, std::string_view code,
                                           std::string_view message) {
    application_.refused_by_transport(status, reading_);
    return error_reply(status, code, message);
}

} // namespace yeoul::serve

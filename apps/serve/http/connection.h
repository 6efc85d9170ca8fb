// One client: reads requests one after the other, lets the application answer them.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include "apps/serve/http/head.h"
#include "apps/serve/http/server.h"

namespace yeoul::serve {

namespace net = boost::asio;
using tcp = net::ip::tcp;

class Connection;

/// Errors as values: what went wrong with a client is no exception here.
inline constexpr auto kAwait = net::as_tuple(net::use_awaitable);

/// RFC 9110, 15.2: a client that did not ask for it ignores it.
inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

/// The client closed its side, in the middle of a message or between two.
bool ends_of_stream(const boost::system::error_code& error);

/// What every connection of a server counts.
struct ServerState {
    std::atomic<int64_t> connections = 0, accepted = 0, refused_too_many = 0;
    std::atomic<uint64_t> buffered_bytes = 0;
};

/// One thread, and the connections that belong to it. Only that thread touches them.
struct Loop {
    std::unordered_set<Connection*> connections;
    bool draining = false;
    std::chrono::milliseconds drain_grace{0}; // of what clients do while it drains
    std::function<void()> emptied; // called while draining, when the last connection is gone
    net::io_context context{1};    // last: what waits in it still knows the others
};

/// Bytes of a body, counted in the server's total while this lives.
class BodyCharge {
public:
    BodyCharge(ServerState& state, uint64_t limit) : state_(state), limit_(limit) {}
    ~BodyCharge() { state_.buffered_bytes -= bytes_; }
    BodyCharge(const BodyCharge&) = delete;
    BodyCharge& operator=(const BodyCharge&) = delete;

    /// False when the server's total would pass its limit; nothing is counted then.
    bool add(uint64_t bytes);

private:
    ServerState& state_;
    uint64_t limit_, bytes_ = 0;
};

/// Made when the socket is counted in `ServerState::connections`; uncounts it at its end. Who
/// answers may hold it longer, and let it go on another thread.
class Connection : public std::enable_shared_from_this<Connection> {
public:
    Connection(tcp::socket socket, const ServerOptions& options, Application& application,
               ServerState& state, Loop& loop);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void start();
    /// Answers 503 and closes, because the server has as many connections as it may have.
    void start_refusing();
    /// To be called some times a second: ends what has taken too long, looks whether the client of
    /// a request that is being answered is still there, and answers what no memory was left for.
    void sweep(Clock::time_point now);
    /// Closes when no request is on its way; otherwise after it, and what its client still does
    /// may take the loop's `drain_grace`.
    void drain();

private:
    enum class Next { keep, close, linger };
    struct HangUp;
    /// A request's head, or why there is none: a refusal where somebody waits for one.
    struct Arrival {
        bool request = false;
        std::optional<HttpReply> refusal;
    };

    net::awaitable<void> serve();
    net::awaitable<bool> wait_for_request();
    net::awaitable<void> refuse_connection();
    net::awaitable<Arrival> read_head(Parser& parser);
    net::awaitable<Next> serve_request(Parser& parser);
    std::optional<HttpReply> refuse(const Parser& parser, const Head& head);
    net::awaitable<std::optional<HttpReply>> read_body(Parser& parser, HttpRequest& request,
                                                       BodyCharge& charge);
    net::awaitable<std::optional<HttpReply>> read_sized(HttpRequest& request, uint64_t size,
                                                        BodyCharge& charge);
    net::awaitable<std::optional<HttpReply>> read_chunked(Parser& parser, HttpRequest& request,
                                                          BodyCharge& charge);
    uint64_t most_body_bytes() const;
    net::awaitable<bool> skip_body(uint64_t size);
    bool waits_for_continue(const Parser& parser) const;
    net::awaitable<HttpReply> answer(HttpRequest request);
    void hand_over(HttpRequest request);
    void deliver(const std::function<HttpReply()>& make);
    net::awaitable<bool> write(HttpReply reply, unsigned version, bool keep_alive, bool head_only);
    net::awaitable<void> linger();
    void watch_client();
    void probe_client();
    void hang_up();
    void leave();
    HttpReply body_failure(const boost::system::error_code& error, const Head& head);
    HttpReply refusal_by_transport(int status, std::string_view code, std::string_view message);

    void deadline_in(Clock::duration duration);
    void transfer_deadline(Clock::time_point begun, uint64_t bytes);
    void no_deadline() { deadline_ = Clock::time_point::max(); }

    tcp::socket socket_;
    const ServerOptions& options_;
    Application& application_;
    ServerState& state_;
    Loop& loop_;
    boost::beast::flat_buffer buffer_; // what was received and belongs to no request yet
    Clock::time_point deadline_ = Clock::time_point::max();
    Clock::time_point drained_ = Clock::time_point::min(); // when `drain` was called
    bool timed_out_ = false;
    bool present_ = true;      // in the loop and in the count
    bool idle_ = false;        // between two requests
    bool half_closed_ = false; // the client sends no more
    bool http_1_0_ = false;

    // While the application works on a request:
    net::steady_timer wake_;
    std::optional<HttpReply> reply_;
    std::stop_source gone_;
    bool answering_ = false, watching_ = false;
    std::optional<Clock::time_point> request_begun_;
    const Head* reading_ = nullptr;        // of the request whose body is being read
    std::string_view interim_rest_;        // of an interim response that the socket had no room for
    std::atomic<bool> unanswered_ = false; // there was no memory to bring the reply here
};

} // namespace yeoul::serve

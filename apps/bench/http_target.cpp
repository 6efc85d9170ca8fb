#include "apps/bench/http_target.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>
#include <system_error>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace yeoul::bench {
namespace {

constexpr size_t kMostReply = size_t{64} << 20;

[[noreturn]] void fail(const std::string& what) {
    throw Error(ErrorCode::io, what + ": " + std::strerror(errno));
}

/// A connection that is opened anew after a failure.
class Connection {
public:
    explicit Connection(const HttpAddress& address) : address_(address) {}
    ~Connection() { close(); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void open() {
        if (socket_ >= 0)
            return;
        const addrinfo hints{
            .ai_flags = 0,
            .ai_family = AF_UNSPEC,
            .ai_socktype = SOCK_STREAM,
            .ai_protocol = 0,
            .ai_addrlen = 0,
            .ai_addr = nullptr,
            .ai_canonname = nullptr,
            .ai_next = nullptr,
        };
        addrinfo* list = nullptr;
        const std::string name = address_.host + ":" + address_.port;
        if (const int code =
                ::getaddrinfo(address_.host.c_str(), address_.port.c_str(), &hints, &list))
            throw Error(ErrorCode::io, "'" + name + "' cannot be found: " + ::gai_strerror(code));
        const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> found(list, ::freeaddrinfo);
        for (const addrinfo* at = list; at && socket_ < 0; at = at->ai_next) {
            socket_ = ::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
            if (socket_ >= 0 && ::connect(socket_, at->ai_addr, at->ai_addrlen) != 0)
                close();
        }
        if (socket_ < 0)
            fail("nobody answers at '" + name + "'");
        const int on = 1;
        ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    void close() {
        if (socket_ >= 0)
            ::close(socket_);
        socket_ = -1;
        received_.clear();
    }

    void send(const void* data, size_t bytes) {
        for (const char* at = static_cast<const char*>(data); bytes > 0;) {
            const ssize_t sent = ::send(socket_, at, bytes, MSG_NOSIGNAL);
            if (sent < 0 && errno == EINTR)
                continue;
            if (sent < 0)
                fail("a photo cannot be sent");
            at += sent;
            bytes -= static_cast<size_t>(sent);
        }
    }

    struct Reply {
        int status = 0;
        std::string body;
    };
    /// The next final one.
    Reply receive() {
        for (;;) {
            size_t end = 0;
            while ((end = received_.find("\r\n\r\n")) == std::string::npos)
                read_more();
            std::string head = received_.substr(0, end + 2);
            received_.erase(0, end + 4);
            std::transform(head.begin(), head.end(), head.begin(), [](unsigned char letter) {
                return static_cast<char>(letter >= 'A' && letter <= 'Z' ? letter + 32 : letter);
            });
            Reply reply{.status = static_cast<int>(number(head, "http/1.1 ")), .body = {}};
            if (reply.status >= 100 && reply.status < 200)
                continue;
            const size_t length = number(head, "\r\ncontent-length:");
            while (received_.size() < length)
                read_more();
            reply.body = received_.substr(0, length);
            received_.erase(0, length);
            if (head.find("\r\nconnection: close\r\n") != std::string::npos)
                close();
            return reply;
        }
    }

private:
    static size_t number(const std::string& head, std::string_view name) {
        size_t at = head.find(name), value = 0;
        if (at == std::string::npos)
            throw Error(ErrorCode::io, "the reply has no '" + std::string(name.substr(2)) + "'");
        at = head.find_first_not_of(' ', at + name.size());
        if (at != std::string::npos)
            std::from_chars(head.data() + at, head.data() + head.size(), value);
        return value;
    }

    void read_more() {
        char piece[65536];
        const ssize_t got = ::recv(socket_, piece, sizeof piece, 0);
        if (got < 0 && errno == EINTR)
            return;
        if (got < 0)
            fail("no reply");
        if (got == 0 || received_.size() > kMostReply)
            throw Error(ErrorCode::io, "the connection ended before its reply");
        received_.append(piece, static_cast<size_t>(got));
    }

    const HttpAddress& address_;
    int socket_ = -1;
    std::string received_;
};

} // namespace

HttpAddress HttpAddress::parse(const std::string& url) {
    const std::string scheme = "http://";
    YEOUL_REQUIRE(url.starts_with(scheme),
                  "the URL is '" << url << "', must begin with http://; TLS is not spoken");
    HttpAddress address;
    std::string rest = url.substr(scheme.size());
    if (const size_t slash = rest.find('/'); slash != std::string::npos) {
        if (slash + 1 < rest.size())
            address.path = rest.substr(slash);
        rest.resize(slash);
    }
    if (const size_t colon = rest.rfind(':');
        colon != std::string::npos && rest.find(']', colon) == std::string::npos) {
        address.port = rest.substr(colon + 1);
        rest.resize(colon);
    }
    if (rest.size() > 2 && rest.front() == '[' && rest.back() == ']')
        rest = rest.substr(1, rest.size() - 2);
    address.host = rest;
    YEOUL_REQUIRE(!address.host.empty() && !address.port.empty(),
                  "the URL is '" << url << "', must name host and port, as in "
                                 << "http://127.0.0.1:8000");
    return address;
}

HttpTarget::HttpTarget(const HttpAddress& address, int connections, const std::string& api_key)
    : address_(address),
      head_("POST " + address.path + " HTTP/1.1\r\nHost: " + address.host +
            "\r\nContent-Type: application/octet-stream\r\n" +
            (api_key.empty() ? "" : "X-Api-Key: " + api_key + "\r\n") + "Content-Length: ") {
    Connection(address_).open();
    try {
        for (int i = 0; i < connections; ++i)
            threads_.emplace_back([this] { work(); });
    } catch (const std::system_error& error) {
        stop();
        throw Error(ErrorCode::io, std::string("so many threads cannot be started: ") +
                                       error.what() + "; take fewer --clients");
    }
}

void HttpTarget::stop() noexcept {
    {
        std::lock_guard lock(mutex_);
        closing_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_)
        thread.join();
}

void HttpTarget::submit(Photo photo, std::function<void(const Result&)> done) {
    {
        std::lock_guard lock(mutex_);
        jobs_.push_back({std::move(photo), std::move(done)});
    }
    changed_.notify_one();
}

void HttpTarget::work() {
    Connection connection(address_);
    for (;;) {
        Job job;
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return closing_ || !jobs_.empty(); });
            if (jobs_.empty())
                return;
            job = std::move(jobs_.front());
            jobs_.pop_front();
        }
        Result result;
        try {
            connection.open();
            const std::string head = head_ + std::to_string(job.photo.encoded.size()) + "\r\n\r\n";
            connection.send(head.data(), head.size());
            connection.send(job.photo.encoded.data(), job.photo.encoded.size());
            const Connection::Reply reply = connection.receive();
            if (reply.status != 200)
                result.error = {ErrorCode::io,
                                "status " + std::to_string(reply.status) + ": " + reply.body};
        } catch (const Error& error) {
            connection.close();
            result.error = {error.code(), error.what()};
        }
        job.done(result);
    }
}

} // namespace yeoul::bench

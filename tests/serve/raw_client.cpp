#include "tests/serve/raw_client.h"

#include <arpa/inet.h>
#include <filesystem>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace yeoul::test {

RawClient::RawClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    // A server that says nothing is a failed test, not one that hangs.
    const timeval patience{60, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        throw std::runtime_error("cannot connect");
}

RawClient::~RawClient() {
    if (socket_ >= 0)
        ::close(socket_);
}

void RawClient::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes.remove_prefix(static_cast<size_t>(sent));
    }
}

bool RawClient::trickle(std::string_view piece) {
    for (int sent = 0; sent < 5000; ++sent) {
        pollfd reply{.fd = socket_, .events = POLLIN, .revents = 0};
        if (::poll(&reply, 1, 2) > 0)
            return true;
        send(piece);
    }
    return false;
}

void RawClient::half_close() {
    ::shutdown(socket_, SHUT_WR);
}

void RawClient::reset() {
    const linger abortive{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &abortive, sizeof abortive);
    ::close(socket_);
    socket_ = -1;
}

void RawClient::fill_from_the_other_side() {
    const auto name_of = [](int file, auto ask) {
        sockaddr_in address{};
        socklen_t size = sizeof address;
        const int status = ask(file, reinterpret_cast<sockaddr*>(&address), &size);
        return status == 0 && address.sin_family == AF_INET ? address.sin_port : in_port_t{0};
    };
    const in_port_t own = name_of(socket_, ::getsockname);
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        const int file = std::stoi(entry.path().filename().string());
        if (name_of(file, ::getpeername) != own)
            continue;
        const std::string junk(4096, ' ');
        for (size_t step : {junk.size(), size_t{1}})
            while (::send(file, junk.data(), step, MSG_DONTWAIT) > 0) {
            }
        return;
    }
    throw std::runtime_error("no descriptor of this program is the other side");
}

bool RawClient::read_more() {
    char bytes[65536];
    const ssize_t count = ::recv(socket_, bytes, sizeof bytes, 0);
    if (count <= 0)
        return false;
    buffer_.append(bytes, static_cast<size_t>(count));
    return true;
}

RawReply RawClient::read_reply(bool head_only) {
    RawReply reply;
    size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos)
        if (!read_more())
            return reply;
    const std::string head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    const int status = std::stoi(head.substr(9, 3));
    if (status < 200) {
        ++interim_;
        return read_reply(head_only);
    }
    for (size_t at = head.find("\r\n") + 2; at < head.size();) {
        const size_t line_end = head.find("\r\n", at), colon = head.find(':', at);
        std::string name = head.substr(at, colon - at);
        for (char& c : name)
            c = static_cast<char>(std::tolower(c));
        reply.headers[name] = head.substr(colon + 2, line_end - colon - 2);
        at = line_end + 2;
    }
    const size_t length = head_only ? 0 : std::stoul("0" + reply.headers["content-length"]);
    while (buffer_.size() < length)
        if (!read_more())
            return reply;
    reply.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
    reply.status = status;
    return reply;
}

void RawClient::read_interim() {
    size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos)
        if (!read_more())
            throw std::runtime_error("the connection ended before an interim reply");
    if (!buffer_.starts_with("HTTP/1.1 100 "))
        throw std::runtime_error("a final reply came before an interim one");
    buffer_.erase(0, end + 4);
}

bool RawClient::at_end() {
    return buffer_.empty() && !read_more();
}

std::string request(std::string_view method, std::string_view target, std::string_view body,
                    std::string_view headers) {
    std::string text(method);
    text += ' ';
    text += target;
    text += " HTTP/1.1\r\nHost: test\r\n";
    text += headers;
    if (!body.empty() || method == "POST")
        text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    text += "\r\n";
    text += body;
    return text;
}

} // namespace yeoul::test

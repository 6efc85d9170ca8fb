// A client that sends what it likes: bytes on a socket.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace yeoul::test {

struct RawReply {
    int status = 0;                             // 0: the connection ended before a reply
    std::map<std::string, std::string> headers; // names in lower case
    std::string body;
};

class RawClient {
public:
    explicit RawClient(int port);
    ~RawClient();
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;

    /// Sends all of it, as far as the server takes it.
    void send(std::string_view bytes);
    /// Sends `piece` again every few milliseconds until the server says something. False when it
    /// took thousands and said nothing.
    bool trickle(std::string_view piece);
    /// Says that nothing more is sent.
    void half_close();
    /// Closes so that the server is told of a reset.
    void reset();
    /// For a server in this program: writes to this client on the server's side of the connection
    /// until there is no room for another byte.
    void fill_from_the_other_side();
    /// The next final reply; interim ones (1xx) are skipped and counted.
    RawReply read_reply(bool head_only = false);
    /// Waits for an interim reply, "100 Continue".
    void read_interim();
    /// Whether the server closed the connection, with nothing left to read.
    bool at_end();
    int interim_replies() const { return interim_; }

private:
    bool read_more();
    int socket_ = -1;
    int interim_ = 0;
    std::string buffer_;
};

/// "POST target HTTP/1.1" with Host, Content-Length and `headers` (each ending in CRLF).
std::string request(std::string_view method, std::string_view target, std::string_view body = "",
                    std::string_view headers = "");

} // namespace yeoul::test

// Any bytes as what a client sends, cut into pieces as a socket may: requests come out as the
// transport would take them, the same however they are cut, and within its limits.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include "apps/serve/http/head.h"

namespace {

using namespace yeoul;
namespace http = boost::beast::http;

constexpr uint64_t kMostBody = 1000;
constexpr size_t kBuffer = 64 << 10; // as a connection's

struct Request {
    std::string method, target;
    std::vector<std::string> headers;
    std::vector<uint8_t> body;
    bool operator==(const Request&) const = default;
};

struct Outcome {
    std::vector<Request> requests;
    int refused = 0;       // the status of what came after them
    bool limited = false;  // a limit was passed, which depends on the cuts
    bool complete = false; // the bytes ended between two requests
};

void require(bool holds) {
    if (!holds)
        std::abort();
}

class Stream {
public:
    Stream(std::span<const uint8_t> bytes, size_t piece) : bytes_(bytes), piece_(piece) {}

    bool at_end() const { return bytes_.empty() && buffer_.size() == 0; }

    /// Puts what is there into `parser` until `done` or an error; false at the end of the bytes.
    template <typename Done>
    bool put(serve::Parser& parser, boost::system::error_code& error, Done done) {
        while (!done()) {
            const size_t used = buffer_.size() ? parser.put(buffer_.data(), error) : 0;
            buffer_.consume(used);
            if (error && error != http::error::need_more)
                return true;
            if (used > 0 && !error)
                continue;
            error = {};
            if (bytes_.empty())
                return false;
            const auto piece = bytes_.first(std::min(piece_, bytes_.size()));
            bytes_ = bytes_.subspan(piece.size());
            buffer_.commit(boost::asio::buffer_copy(
                buffer_.prepare(piece.size()), boost::asio::buffer(piece.data(), piece.size())));
        }
        return true;
    }

private:
    std::span<const uint8_t> bytes_;
    size_t piece_;
    boost::beast::flat_buffer buffer_{kBuffer};
};

/// False when nothing can follow it.
bool read_body(Stream& stream, serve::Parser& parser, Outcome& outcome) {
    Request& request = outcome.requests.back();
    parser.body_limit(kMostBody);
    while (!parser.is_done()) {
        uint8_t step[64];
        parser.get().body().data = step;
        parser.get().body().size = sizeof step;
        boost::system::error_code error;
        const bool more = stream.put(parser, error, [&] { return parser.is_done(); });
        const size_t got = sizeof step - parser.get().body().size;
        request.body.insert(request.body.end(), step, step + got);
        require(request.body.size() <= kMostBody);
        if (error == http::error::need_buffer)
            continue;
        if (error || !more) {
            outcome.refused = error ? 400 : 0;
            outcome.limited |= error == http::error::body_limit;
            return false;
        }
    }
    return true;
}

/// False when nothing can follow it.
bool read_request(Stream& stream, Outcome& outcome) {
    serve::Parser parser;
    serve::limit_head(parser);
    boost::system::error_code error;
    const bool more = stream.put(parser, error, [&] { return parser.is_header_done(); });
    if (error || !more) {
        outcome.refused = error ? 400 : 0;
        outcome.limited |= error == http::error::header_limit;
        return false;
    }
    const serve::Head head = serve::head_of(parser);
    if (const auto refusal = serve::refuse_head(parser, head, kMostBody)) {
        require(refusal->status == 400 || refusal->status == 413);
        outcome.refused = refusal->status;
        return false;
    }
    require(!head.method.empty() && !head.target.empty());
    require(head.content_length.has_value() != parser.chunked());
    require(head.content_length.value_or(0) <= kMostBody);
    Request request{.method = head.method, .target = head.target};
    size_t bytes = 0;
    for (const serve::Header& header : head.headers) {
        request.headers.push_back(header.name + ':' + header.value);
        bytes += request.headers.back().size();
    }
    require(bytes <= serve::kHeadLimit);
    outcome.requests.push_back(std::move(request));
    return head.content_length == 0 || read_body(stream, parser, outcome);
}

Outcome read(std::span<const uint8_t> bytes, size_t piece) {
    Stream stream(bytes, piece);
    Outcome outcome;
    while (!stream.at_end())
        if (!read_request(stream, outcome))
            return outcome;
    outcome.complete = true;
    return outcome;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1 || size > kBuffer)
        return 0;
    const std::span<const uint8_t> bytes(data + 1, size - 1);
    const Outcome whole = read(bytes, bytes.size() + 1), cut = read(bytes, 1 + data[0]);
    if (whole.limited || cut.limited)
        return 0;
    require(whole.requests == cut.requests);
    require(whole.refused == cut.refused && whole.complete == cut.complete);
    return 0;
}

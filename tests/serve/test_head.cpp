#include <array>
#include <doctest/doctest.h>
#include <string>

#include <boost/asio/buffer.hpp>

#include "apps/serve/http/head.h"

using namespace yeoul;
using boost::beast::http::error;

TEST_CASE("head: an empty chunked body ends however it is cut") {
    const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const std::string text = head + "0\r\n\r\n";
    serve::Parser parser;
    serve::limit_head(parser);
    std::array<uint8_t, 8> body{};
    parser.get().body().data = body.data();
    parser.get().body().size = body.size();
    size_t used = 0;
    for (size_t have = head.size(); have <= text.size(); ++have) { // a byte more each time
        CHECK(!parser.is_done());
        boost::system::error_code code;
        used += parser.put(boost::asio::buffer(text.data() + used, have - used), code);
        CHECK((!code || code == error::need_more));
    }
    CHECK(parser.is_done());
    CHECK(used == text.size());
    CHECK(parser.get().body().size == body.size());
}

#include "apps/serve/http/head.h"

#include <string>

namespace yeoul::serve {
namespace {

namespace http = boost::beast::http;

std::string text(boost::beast::string_view view) {
    return {view.data(), view.size()};
}

HttpReply bad_request(std::string_view message) {
    return error_reply(400, "bad_request", message);
}

} // namespace

void limit_head(Parser& parser) {
    parser.header_limit(kHeadLimit);
    parser.body_limit(boost::none); // what is too long gets a reply, not an error of the parser
}

Head head_of(const Parser& parser) {
    Head head{.method = text(parser.get().method_string()), .target = text(parser.get().target())};
    for (const auto& field : parser.get())
        head.headers.push_back({text(field.name_string()), text(field.value())});
    if (parser.get().count(http::field::transfer_encoding) > 0) // unknown ones are refused
        head.content_length.reset();
    else if (const auto length = parser.content_length())
        head.content_length = *length;
    return head;
}

std::optional<HttpReply> refuse_head(const Parser& parser, const Head& head,
                                     uint64_t most_body_bytes) {
    const unsigned version = parser.get().version();
    if (version != 10 && version != 11)
        return bad_request("the version is not HTTP/1.1; send HTTP/1.1");
    if (version == 11 && parser.get().count(http::field::host) != 1)
        return bad_request("there must be one header Host");
    const auto coding = parser.get()[http::field::transfer_encoding];
    if (!coding.empty() && !boost::beast::iequals(coding, "chunked"))
        return bad_request("Transfer-Encoding is '" + text(coding) + "', must be chunked");
    const uint64_t length = head.content_length.value_or(0);
    if (length > most_body_bytes)
        return error_reply(413, "body_too_large",
                           "the body has " + std::to_string(length) + " bytes, may have " +
                               std::to_string(most_body_bytes) + "; send fewer photos at once");
    return std::nullopt;
}

} // namespace yeoul::serve

// A request's head out of Beast's parser, with the transport's limits: no socket here, so that a
// fuzz target drives the same code.
#pragma once

#include <optional>

#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "apps/serve/http/message.h"

namespace yeoul::serve {

using Parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;

inline constexpr size_t kHeadLimit = 16 << 10;

void limit_head(Parser& parser);

/// Of a parser that has read a whole head.
Head head_of(const Parser& parser);

/// What the transport does not take, whatever the application says: a version, a missing Host, a
/// coding, a length over `most_body_bytes`.
std::optional<HttpReply> refuse_head(const Parser& parser, const Head& head,
                                     uint64_t most_body_bytes);

} // namespace yeoul::serve

#include <doctest/doctest.h>

#include <yeoul/error.h>

#include "apps/serve/wire/target.h"

using namespace yeoul;
using namespace yeoul::serve;
using Segments = std::vector<std::string>;

TEST_CASE("target: the path is split before it is decoded") {
    CHECK(parse_target("/").segments == Segments{""});
    CHECK(parse_target("/v2/models/a%2Fb/infer").segments ==
          Segments{"v2", "models", "a/b", "infer"});
    CHECK(parse_target("/a+b").segments == Segments{"a+b"});
    CHECK(parse_target("/v1/embed/").segments == Segments{"v1", "embed", ""});
    CHECK(parse_target("//v1").segments == Segments{"", "v1"});
    CHECK(parse_target("/a/../b").segments == Segments{"a", "..", "b"});
    CHECK(parse_target("/%2e%2e/a").segments == Segments{"..", "a"});
    CHECK(parse_target("/a%00b").segments == Segments{std::string("a\0b", 3)});
    CHECK(parse_target("http://host:80/v2?x=1").segments == Segments{"v2"});
    CHECK(parse_target("http://host").segments == Segments{""});
}

TEST_CASE("target: the query is pairs, plus is a space") {
    const Target target = parse_target("/a?x=1&&y=%26+b&z&=w#f");
    using Query = std::vector<std::pair<std::string, std::string>>;
    CHECK(target.segments == Segments{"a"});
    CHECK(target.query == Query{{"x", "1"}, {"y", "& b"}, {"z", ""}, {"", "w#f"}});
    CHECK(parse_target("/a?").query.empty());
}

TEST_CASE("target: what is no path or a broken percent is refused") {
    for (const char* target : {"", "*", "v1/embed", "ftp://a/b", "/%", "/%4", "/%zz", "/a?b=%1"})
        CHECK_THROWS_AS(parse_target(target), Error);
}

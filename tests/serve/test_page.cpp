#include <doctest/doctest.h>

#include "tests/serve/served.h"

using namespace yeoul;
using namespace yeoul::serve;
using namespace yeoul::test;

TEST_CASE("page: is one file without addresses, and may load nothing") {
    Service service(clip_options());
    const HttpReply reply = ask(service, "GET", "/");
    REQUIRE(reply.status == 200);
    CHECK(reply.content_type == "text/html; charset=utf-8");
    CHECK(reply.body.starts_with("<!doctype html>"));
    CHECK(reply.body.find("YEOUL_PAGE") == std::string::npos); // style and script are in
    CHECK(reply.body.find("prefers-color-scheme: dark") != std::string::npos);
    CHECK(reply.body.find("byId(\"files\").onchange") != std::string::npos);
    for (const char* outside : {"http:", "https:", "src=\"", "@import", "url(", "eval("})
        CHECK(reply.body.find(outside) == std::string::npos);
    const std::string policy = header(reply, "Content-Security-Policy");
    CHECK(policy.starts_with("default-src 'none'"));
    CHECK(policy.find("connect-src 'self'") != std::string::npos);
    CHECK(header(reply, "X-Content-Type-Options") == "nosniff");
}

#include <doctest/doctest.h>

#include "loader/json.h"
#include "tests/loader/file_helpers.h"

namespace yeoul::loader {
namespace {

std::string json_refusal(std::string_view text) {
    return error_of(ErrorCode::model, [&] { parse_json(text, "file"); });
}

TEST_CASE("json: every kind of value comes out as what it is") {
    const Json json = parse_json(
        R"({"n":null,"t":true,"i":-7,"d":0.5,"s":"\u00e9\n","a":[1,[2]],"o":{"k":"v"}})", "file");
    CHECK(json.find("n")->is_null());
    CHECK(*json.find("t")->boolean());
    CHECK(*json.find("i")->integer() == -7);
    CHECK(json.find("i")->number() == -7.0);
    CHECK(json.find("d")->integer() == nullptr);
    CHECK(json.find("d")->number() == 0.5);
    CHECK(*json.find("s")->string() == "\xc3\xa9\n");
    CHECK(*(*(*json.find("a")->array())[1].array())[0].integer() == 2);
    CHECK(*json.find("o")->find("k")->string() == "v");
    CHECK(json.find("x") == nullptr);
    CHECK(json.find("a")->find("x") == nullptr);
}

TEST_CASE("json: integers keep 63 bits, larger ones are no integers") {
    const Json json =
        parse_json("[9223372036854775807,9223372036854775808,-9223372036854775808]", "file");
    CHECK(*(*json.array())[0].integer() == INT64_MAX);
    CHECK((*json.array())[1].integer() == nullptr);
    CHECK((*json.array())[1].number() == 9223372036854775808.0);
    CHECK(*(*json.array())[2].integer() == INT64_MIN);
}

TEST_CASE("json: broken text is refused with line and column") {
    CHECK(json_refusal("{\n \"a\": }") == "file: not valid JSON at line 2, column 7");
    CHECK(lacks(json_refusal(""), "file: not valid JSON at line 1") == "");
    for (const char* text : {"{", "[1,]", "{\"a\":1,}", "01", "nul", "\"\xff\"", "1e999", "NaN",
                             "// c\n1", "1 2", "'a'", "\"\t\""}) {
        CAPTURE(text);
        CHECK(lacks(json_refusal(text), "not valid JSON at line 1, column") == "");
    }
    CHECK(json_refusal("\"a\xff\"") ==
          "file: not valid JSON at line 1, column 3, which is not UTF-8");
    CHECK(json_refusal(std::string_view("1\0x", 3)) ==
          "file: not valid JSON, a zero byte at line 1, column 2");
}

TEST_CASE("json: a name twice in one object is refused, the same name in two objects is not") {
    CHECK(json_refusal(R"({"a":{"b":1,"c":2,"b":3}})") ==
          "file: the name \"b\" occurs twice in one object");
    CHECK(parse_json(R"({"a":{"a":1},"b":{"a":1}})", "file").object()->size() == 2);
}

TEST_CASE("json: 32 levels are read, 33 are refused") {
    CHECK(parse_json(std::string(32, '[') + std::string(32, ']'), "file").array() != nullptr);
    CHECK(lacks(json_refusal(std::string(33, '[') + std::string(33, ']')), "more than 32 levels") ==
          "");
    CHECK(lacks(json_refusal(std::string(1'000'000, '[')), "more than 32 levels") == "");
}

TEST_CASE("json: ten million values are the limit, or as many as are asked for") {
    CHECK(parse_json("[1,[2]]", "file", 4).array()->size() == 2);
    CHECK(error_of(ErrorCode::model, [] { parse_json("[1,[2]]", "file", 3); }) ==
          "file: more than 3 values");
    std::string text = "[1";
    for (int i = 0; i < 10'000'000; ++i)
        text += ",1";
    CHECK(lacks(json_refusal(text + "]"), "more than 10000000 values") == "");
}

TEST_CASE("json: a quoted string comes back the same, bad bytes become U+FFFD") {
    const std::string text("a\"\\\n\x01\x7f\xc3\xa9\0z", 10);
    CHECK(*parse_json(json_quote(text), "file").string() == text);
    CHECK(json_quote("photo\xff.jpg") == "\"photo\xef\xbf\xbd.jpg\"");
}

TEST_CASE("json: values are described in a few words") {
    const Json json = parse_json(R"(["768",3.5,null,{},[],false,1e-5])", "file");
    std::string all;
    for (const Json& value : *json.array())
        all += value.describe() + " | ";
    CHECK(all == "\"768\" | 3.5 | null | an object | a list | false | 1e-05 | ");
    CHECK(in_quotes(std::string(121, 'x')) == "\"" + std::string(120, 'x') + "...\"");
}

} // namespace
} // namespace yeoul::loader

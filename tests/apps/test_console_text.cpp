#include <doctest/doctest.h>
#include <filesystem>

#include "apps/cli/command_line.h"
#include "apps/cli/json_text.h"
#include "apps/cli/model_path.h"
#include "apps/cli/printable.h"
#include "apps/cli/progress.h"
#include "apps/cli/table.h"

using namespace yeoul::cli;

TEST_CASE("progress: shows done, rate, busy shares, time left and errors") {
    const ProgressCounts counts{.done = 1500,
                                .total = 6000,
                                .errors = 3,
                                .decode_seconds = 30,
                                .compute_seconds = 16,
                                .threads = 2,
                                .streams = 1};
    CHECK(progress_line("embed", counts, 20) ==
          "embed  25% [##        ]  1,500/6,000  74.8 photos/s  decode 75% compute 80%  left 1 min "
          "0 s  errors 3");
}

TEST_CASE("progress: nothing done yet divides by nothing") {
    CHECK(progress_line("tag", {.total = 5}, 0) ==
          "tag   0% [          ]  0/5  0.0 photos/s  decode 0% compute 0%  errors 0");
}

TEST_CASE("progress: is due five times a second on a terminal, every 10 s elsewhere") {
    Progress terminal("verify", true), file("verify", false);
    CHECK(!terminal.update({.total = 1}, 0.1));
    const auto line = terminal.update({.total = 1}, 0.25);
    REQUIRE(line);
    CHECK(line->starts_with("verify   0% ["));
    CHECK(!terminal.update({.total = 1}, 0.4));
    CHECK(terminal.update({.total = 1}, 0.46));
    CHECK(!file.update({.total = 1}, 9.9));
    CHECK(file.update({.total = 1}, 10.1));
    CHECK(!file.update({.total = 1}, 19.9));
    CHECK(file.update({.total = 1}, 20.2));
}

TEST_CASE("progress: numbers are grouped and times are short") {
    CHECK(grouped(0) == "0");
    CHECK(grouped(999) == "999");
    CHECK(grouped(1000) == "1,000");
    CHECK(grouped(-1234567) == "-1,234,567");
    CHECK(duration(0.2) == "1 s");
    CHECK(duration(59) == "59 s");
    CHECK(duration(150) == "2 min 30 s");
    CHECK(duration(3900) == "1 h 5 min");
}

TEST_CASE("table: columns fit what they show, and wide characters count twice") {
    CHECK(display_width("abc") == 3);
    CHECK(display_width("\xEC\x97\xAC\xEC\x9A\xB8") == 4); // Hangul
    CHECK(display_width("\xC3\xA9") == 1);                 // e acute
    CHECK(display_width("\xFF\xC3") == 2);                 // not UTF-8
    CHECK(table({{"a"}, {"n", 0, true}}, {{"long", "1"}, {"x", "234"}}) ==
          "a       n\nlong    1\nx     234\n");
    CHECK(markdown_table({{"a"}, {"n", 0, true}}, {{"long", "1"}}) ==
          "| a    |   n |\n|------|----:|\n| long |   1 |\n");
}

TEST_CASE("table: a long path keeps its end") {
    CHECK(shortened("short", 10) == "short");
    CHECK(shortened("a/long/path/cat.jpg", 10) == "...cat.jpg");
    CHECK(display_width(shortened("\xEC\x97\xAC\xEC\x9A\xB8\xEC\x97\xAC\xEC\x9A\xB8", 6)) <= 6);
}

TEST_CASE("printable: control characters are escaped, text is not") {
    CHECK(printable("a\x1b[31m\n\t\x7f.jpg") == "a\\x1b[31m\\n\\t\\x7f.jpg");
    CHECK(printable("\xC2\x9B") == "\\x9b"); // a terminal may take it for ESC [
    const std::string name = "\xEC\x97\xAC \xC3\xA9 \xC2\xA0 \\n";
    CHECK(printable(name) == name);
}

TEST_CASE("command line: choices are listed as a sentence") {
    CHECK(alternatives({"a", "b", "c"}) == "a, b or c");
    CHECK(alternatives({"a"}) == "a");
}

TEST_CASE("json: floats read back as the same float") {
    const float values[] = {0.1f, -2.0f, 1e-30f, 16777217.0f};
    CHECK(json_array(values) == "[0.1,-2,1e-30,16777216]");
    CHECK(json_array({}) == "[]");
}

TEST_CASE("command line: a flag's variable is its name in capitals") {
    CHECK(environment_name("batch-size") == "YEOUL_BATCH_SIZE");
}

TEST_CASE("model path: the installation comes before the source tree") {
    const auto places = bundled_model_places("/opt/yeoul/bin/engine-run");
    CHECK(places.front() == "/opt/yeoul/share/yeoul/model");
    const auto built = bundled_model_places("/src/build/cpu/bin/engine-run");
    CHECK(std::find(built.begin(), built.end(), "/src/apps/demo/model") != built.end());
}

#include <doctest/doctest.h>

#include "loader/line_reader.h"

using yeoul::loader::LineReader;

TEST_CASE("line reader: skips blank lines and comments, and counts them") {
    LineReader lines("# head\n\n \t\r\none 2 # three\n4");
    REQUIRE(lines.next());
    CHECK(lines.number() == 4);
    CHECK(lines.line() == "one 2 # three");
    CHECK(lines.word() == "one");
    int number = 0;
    CHECK(lines.read(number));
    CHECK(number == 2);
    CHECK(lines.at_end());
    CHECK(lines.word().empty());
    CHECK_FALSE(lines.read(number));
    REQUIRE(lines.next());
    CHECK(lines.number() == 5);
    CHECK_FALSE(lines.next());
    CHECK_FALSE(LineReader("").next());
}

TEST_CASE("line reader: a number is a whole word in its range") {
    int number = 0;
    double real = 0;
    for (const char* text : {"2x", "x", "+2", "2147483648", "1.5"}) {
        LineReader lines(text);
        REQUIRE(lines.next());
        CAPTURE(text);
        CHECK_FALSE(lines.read(number));
    }
    LineReader lines("-7\t1.5e3\r\n");
    REQUIRE(lines.next());
    CHECK(lines.read(number));
    CHECK(number == -7);
    CHECK(lines.read(real));
    CHECK(real == 1500);
    CHECK(lines.at_end());
}

#include <doctest/doctest.h>

#include "engine/memory/byte_size.h"

using namespace yeoul;

TEST_CASE("byte size: reads what people write, and nothing else") {
    CHECK(parse_bytes("15GiB") == size_t{15} << 30);
    CHECK(parse_bytes("1.5 GiB") == size_t{3} << 29);
    CHECK(parse_bytes("512MiB") == size_t{512} << 20);
    CHECK(parse_bytes("64KiB") == size_t{64} << 10);
    CHECK(parse_bytes("1000") == 1000);
    CHECK(parse_bytes("1000B") == 1000);
    CHECK(parse_bytes("0") == 0);
    for (const char* text :
         {"", "GiB", "15GB", "15gib", "15 G", "-1", "1e3", "0x10", "1.5", "nan", "inf", "0.3KiB",
          "8589934592GiB", "99999999999999999999", "1 2", " 1", "1MiB "}) {
        CAPTURE(text);
        CHECK_FALSE(parse_bytes(text).has_value());
    }
}

TEST_CASE("byte size: is written in the unit that suits") {
    CHECK(bytes_text(0) == "0 bytes");
    CHECK(bytes_text(1023) == "1023 bytes");
    CHECK(bytes_text(1024) == "1.0 KiB");
    CHECK(bytes_text((size_t{5} << 20) + (size_t{1} << 19)) == "5.5 MiB");
    CHECK(bytes_text(size_t{15} << 30) == "15.0 GiB");
}

#include <cstdlib>
#include <doctest/doctest.h>
#include <limits>
#include <string>
#include <vector>

#include "apps/cli/json_text.h"

using yeoul::cli::json_array;

TEST_CASE("vector json: is as short as it may be, and empty for no numbers") {
    CHECK(json_array({}) == "[]");
    CHECK(json_array(std::vector<float>{0.5f}) == "[0.5]");
    CHECK(json_array(std::vector<float>{-1, 0.1f, 3e20f}) == "[-1,0.1,3e+20]");
}

TEST_CASE("vector json: the longest numbers come back as the same bits") {
    using limits = std::numeric_limits<float>;
    std::vector<float> values = {-limits::min(), limits::max(), -limits::denorm_min(),
                                 limits::lowest()};
    for (int i = 1; i < 500; ++i) // every exponent and many mantissas
        values.push_back(
            (i % 2 ? -1.0f : 1.0f) *
            std::strtof(("1.2345678e" + std::to_string(i % 76 - 37)).c_str(), nullptr) /
            static_cast<float>(i));
    const std::string json = json_array(values);
    const char* at = json.c_str();
    for (const float value : values) {
        CHECK((*at == '[' || *at == ','));
        char* end = nullptr;
        CHECK(std::strtof(at + 1, &end) == value);
        at = end;
    }
    CHECK(std::string(at) == "]");
}

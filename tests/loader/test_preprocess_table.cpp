#include <cstring>

#include <doctest/doctest.h>

#include "loader/preprocessor.h"
#include "tests/loader/test_resize_photos.h"

using namespace yeoul;
using namespace yeoul::loader;

TEST_CASE("normalization table: bit-equal with transformers' PIL backend") {
    const auto document = nlohmann::json::parse(test::read_golden("resize.json"));
    const std::vector<uint8_t> stored = test::read_golden("normalization.bin");
    const auto& cases = document["normalizations"];
    constexpr size_t kTableBytes = 3 * 256 * sizeof(float);
    REQUIRE(stored.size() == cases.size() * kTableBytes);
    for (size_t i = 0; i < cases.size(); ++i) {
        CAPTURE(cases[i].dump());
        Preprocessor preprocessor;
        preprocessor.rescale = cases[i]["rescale"];
        preprocessor.rescale_factor = cases[i]["factor"];
        preprocessor.normalize = cases[i]["normalize"];
        preprocessor.mean = cases[i]["mean"];
        preprocessor.std = cases[i]["std"];
        const auto table = preprocessor.normalization_table();
        static_assert(sizeof table == kTableBytes);
        CHECK(std::memcmp(table.data(), stored.data() + i * kTableBytes, kTableBytes) == 0);
    }
}

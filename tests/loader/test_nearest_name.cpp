#include <doctest/doctest.h>

#include "loader/nearest_name.h"

namespace yeoul::loader {
namespace {

using Names = std::vector<std::string>;

TEST_CASE("nearest name: by edit distance, nearest first") {
    const Names known{"clip", "clip_vision_model", "vit", "resnet"};
    CHECK(nearest_names("clip_visoin_model", known) == Names{"clip_vision_model"});
    CHECK(nearest_names("resnet50", known) == Names{"resnet"});
    CHECK(nearest_names("clap", known, 1) == Names{"clip"});
    const Names layers{"layers.0.fc1", "layers.0.fc2", "layers.1.fc1", "layers.10.fc1"};
    CHECK(nearest_names("layers.0.fc3", layers) ==
          Names{"layers.0.fc1", "layers.0.fc2", "layers.1.fc1"});
}

TEST_CASE("nearest name: a swap of neighbours costs one") {
    CHECK(nearest_names("ab", Names{"ba"}) == Names{"ba"});
    CHECK(nearest_names("ab", Names{"bc"}).empty());
}

TEST_CASE("nearest name: ties come in the order of the alphabet, whatever the order known") {
    CHECK(nearest_names("fcX", Names{"fc2", "fc1", "fc3"}) == Names{"fc1", "fc2", "fc3"});
    CHECK(nearest_names("fcX", Names{"fc3", "fc2", "fc1"}, 2) == Names{"fc1", "fc2"});
    CHECK(nearest_names("fc1", Names{"fc1", "fc1"}) == Names{"fc1"});
}

TEST_CASE("nearest name: further than half the length is left out") {
    CHECK(nearest_names("abcd", Names{"abxy"}) == Names{"abxy"});
    CHECK(nearest_names("abcd", Names{"axyz"}).empty());
    CHECK(nearest_names("", Names{"a"}).empty());
    CHECK(nearest_names("abc", Names{}).empty());
    CHECK(nearest_names(std::string(100'000, 'x'), Names{std::string(100'000, 'x')}).empty());
}

} // namespace
} // namespace yeoul::loader

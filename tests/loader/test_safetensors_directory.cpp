#include <doctest/doctest.h>

#include "tests/loader/file_helpers.h"
#include "tests/loader/safetensors_image.h"

namespace yeoul::loader {
namespace {

namespace fs = std::filesystem;

// A file of one-byte tensors whose value is the first letter of their name.
std::string letters(const std::vector<std::string>& names) {
    std::string header, data;
    for (const std::string& name : names) {
        const std::string begin = std::to_string(data.size());
        data += name[0];
        header += (header.empty() ? "" : ",") + ("\"" + name) +
                  "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[" + begin + "," +
                  std::to_string(data.size()) + "]}";
    }
    return safetensors_image("{" + header + "}", data);
}

std::string directory_refusal(const fs::path& directory) {
    return error_of(ErrorCode::model, [&] { Safetensors::open_directory(directory); });
}

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kFirst = "model-00001-of-00002.safetensors";
constexpr const char* kSecond = "model-00002-of-00002.safetensors";
const std::string kWeightMap = R"("a":"model-00001-of-00002.safetensors",)"
                               R"("b":"model-00001-of-00002.safetensors",)"
                               R"("c":"model-00002-of-00002.safetensors")";

std::string index_of(const std::string& weight_map) {
    return R"({"metadata":{"total_size":3},"weight_map":{)" + weight_map + "}}";
}

struct Sharded {
    explicit Sharded(const std::string& weight_map = kWeightMap,
                     const std::vector<std::string>& first = {"a", "b"},
                     const std::vector<std::string>& second = {"c"}) {
        put_file(scratch / kIndex, index_of(weight_map));
        put_file(scratch / kFirst, letters(first));
        put_file(scratch / kSecond, letters(second));
    }
    ScratchDirectory scratch;
};

TEST_CASE("model directory: model.safetensors comes before an index and other files") {
    Sharded sharded;
    put_file(sharded.scratch / "model.safetensors", letters({"m"}));
    const auto opened = Safetensors::open_directory(sharded.scratch.path());
    CHECK(opened.tensors().size() == 1);
    CHECK(opened.find("m") != nullptr);
    CHECK(opened.files() == std::vector{sharded.scratch / "model.safetensors"});
}

TEST_CASE("model directory: shards are seen as one collection") {
    const Sharded sharded;
    const auto opened = Safetensors::open_directory(sharded.scratch.path());
    REQUIRE(opened.tensors().size() == 3);
    for (const auto& [name, tensor] : opened.tensors()) {
        opened.drop(tensor);
        CHECK(text_of(tensor.data) == name);
    }
    CHECK(opened.files() == std::vector{sharded.scratch / kFirst, sharded.scratch / kSecond});
}

TEST_CASE("model directory: the only safetensors file is taken, hidden files do not count") {
    const ScratchDirectory scratch;
    put_file(scratch / "weights.safetensors", letters({"w"}));
    put_file(scratch / "._weights.safetensors", "");
    put_file(scratch / "pytorch_model.bin", "");
    CHECK(Safetensors::open_directory(scratch.path()).find("w") != nullptr);
}

TEST_CASE("model directory: links are followed, as in the hub's cache") {
    const ScratchDirectory scratch;
    fs::create_directory(scratch / "snapshot");
    put_file(scratch / "blob", letters({"w"}));
    fs::create_symlink("../blob", scratch / "snapshot" / "model.safetensors");
    CHECK(Safetensors::open_directory(scratch / "snapshot").find("w") != nullptr);
}

TEST_CASE("model directory: several files without an index are refused by name") {
    const ScratchDirectory scratch;
    put_file(scratch / "b.safetensors", letters({"b"}));
    put_file(scratch / "a.safetensors", letters({"a"}));
    CHECK(lacks(directory_refusal(scratch.path()),
                "(a.safetensors, b.safetensors) and no model.safetensors"
                ".index.json") == "");
}

TEST_CASE("model directory: pickles only are refused with the converter") {
    for (const char* name : {"pytorch_model.bin", "pytorch_model-00001-of-00002.bin"}) {
        const ScratchDirectory scratch;
        put_file(scratch / name, "");
        const std::string message = directory_refusal(scratch.path());
        CHECK(lacks(message, "only PyTorch pickles") == "");
        CHECK(lacks(message, "python3 -c \"import glob, torch;") == "");
        CHECK(message.find('\n') == std::string::npos);
    }
}

TEST_CASE("model directory: missing, a file, empty") {
    const ScratchDirectory scratch;
    CHECK(lacks(directory_refusal(scratch / "none"), "none does not exist") == "");
    put_file(scratch / "file", "");
    CHECK(lacks(directory_refusal(scratch / "file"), "file is a file, give the folder") == "");
    fs::create_directory(scratch / "empty");
    CHECK(lacks(directory_refusal(scratch / "empty"), "empty: holds no *.safetensors file") == "");
}

TEST_CASE("model directory: a model.safetensors that is a folder is a model error") {
    const ScratchDirectory scratch;
    fs::create_directory(scratch / "model.safetensors");
    CHECK(lacks(directory_refusal(scratch.path()), "model.safetensors: it is a directory") == "");
}

TEST_CASE("sharded index: a shard that is missing or broken is named") {
    Sharded sharded;
    fs::remove(sharded.scratch / kSecond);
    CHECK(lacks(directory_refusal(sharded.scratch.path()),
                "names \"model-00002-of-00002.safetensors\", which is missing") == "");
    put_file(sharded.scratch / kSecond, letters({"c"}) + "x");
    CHECK(lacks(directory_refusal(sharded.scratch.path()),
                "model-00002-of-00002.safetensors: its tensors cover 1 bytes") == "");
}

TEST_CASE("sharded index: must put every tensor where it is") {
    SUBCASE("a tensor that no shard holds") {
        const Sharded sharded(kWeightMap + R"(,"d":"model-00002-of-00002.safetensors")");
        CHECK(lacks(directory_refusal(sharded.scratch.path()),
                    "00002.safetensors: does not hold tensor \"d\"") == "");
    }
    SUBCASE("a tensor that the other shard holds") {
        const Sharded sharded(kWeightMap, {"a"}, {"b", "c"});
        CHECK(lacks(directory_refusal(sharded.scratch.path()),
                    "model-00001-of-00002.safetensors: does not hold tensor \"b\"") == "");
    }
    SUBCASE("a tensor in both") {
        const Sharded sharded(kWeightMap, {"a", "b"}, {"b", "c"});
        CHECK(lacks(directory_refusal(sharded.scratch.path()),
                    "model-00002-of-00002.safetensors: holds tensor \"b\", which the index") == "");
    }
    SUBCASE("a tensor that the index leaves out") {
        const Sharded sharded(kWeightMap, {"a", "b", "x"}, {"c"});
        CHECK(lacks(directory_refusal(sharded.scratch.path()),
                    "holds tensor \"x\", which the index") == "");
    }
    SUBCASE("a tensor twice in the index") {
        const Sharded sharded(kWeightMap + R"(,"a":"model-00002-of-00002.safetensors")");
        CHECK(lacks(directory_refusal(sharded.scratch.path()), "the name \"a\" occurs twice") ==
              "");
    }
}

TEST_CASE("sharded index: a shard name cannot lead out of the directory") {
    const ScratchDirectory outer;
    put_file(outer / "x.safetensors", letters({"a"}));
    fs::create_directory(outer / "model");
    for (const std::string& name :
         {std::string("../x.safetensors"), (outer / "x.safetensors").string(), std::string(".."),
          std::string("."), std::string(), std::string("sub/x.safetensors"),
          std::string("x.safetensors\\u0000.json"), std::string("..\\\\x.safetensors")}) {
        CAPTURE(name);
        put_file(outer / "model" / kIndex, index_of("\"a\":\"" + name + "\""));
        CHECK(lacks(directory_refusal(outer / "model"),
                    "must be the name of a file beside the index") == "");
    }
}

TEST_CASE("sharded index: its form is checked") {
    const ScratchDirectory scratch;
    const auto message = [&](const std::string& text) {
        put_file(scratch / kIndex, text);
        return directory_refusal(scratch.path());
    };
    CHECK(lacks(message("{"), "index.json: not valid JSON at line 1") == "");
    CHECK(lacks(message("[]"), "has no object weight_map") == "");
    CHECK(lacks(message(R"({"weight_map":[]})"), "has no object weight_map") == "");
    CHECK(lacks(message(R"({"weight_map":{}})"), "weight_map is empty") == "");
    CHECK(lacks(message(R"({"weight_map":{"a":1}})"), "puts tensor \"a\" into 1") == "");
}

} // namespace
} // namespace yeoul::loader

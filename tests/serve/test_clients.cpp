// Requests of unmodified clients, as tests/golden/serve/record_requests.py recorded them.
#include <cstring>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "tests/serve/served.h"

using namespace yeoul;
using namespace yeoul::test;
using nlohmann::json;

namespace {

const std::filesystem::path kGolden = YEOUL_SOURCE_DIR "/tests/golden";

std::string read(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    REQUIRE_MESSAGE(in, path.string());
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

RawReply replay(const Served& served, const std::string& name) {
    RawClient client(served.port());
    client.send(read(kGolden / "serve/requests" / (name + ".http")));
    const RawReply reply = client.read_reply();
    CAPTURE(name);
    CAPTURE(reply.body.substr(0, 300));
    CHECK(reply.status == 200);
    return reply;
}

json replay_json(const Served& served, const std::string& name) {
    return json::parse(replay(served, name).body);
}

/// What the fake engine makes of the recorded photo.
std::vector<float> expected(bool normalize) {
    const std::string photo = read(kGolden / "images/jpeg_420_8x8.jpg");
    return FakeEngine::vector_of(Photo::bytes({photo.begin(), photo.end()}), normalize);
}

std::vector<float> floats(std::string_view bytes) {
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
    return values;
}

std::vector<float> twice(std::vector<float> row) {
    row.insert(row.end(), row.begin(), row.begin() + FakeEngine::kDim);
    return row;
}

/// The JSON and the bytes of a reply with binary tensors.
std::pair<json, std::string> split(const RawReply& reply) {
    const size_t length = std::stoul(reply.headers.at("inference-header-content-length"));
    return {json::parse(reply.body.substr(0, length)), reply.body.substr(length)};
}

} // namespace

TEST_CASE("clients: tritonclient finds server and model ready") {
    const Served served;
    for (const char* name : {"triton_live", "triton_ready", "triton_model_ready"})
        replay(served, name);
}

TEST_CASE("clients: tritonclient reads what server and model are") {
    const Served served;
    const json server = replay_json(served, "triton_server_metadata");
    CHECK(server["name"].is_string());
    CHECK(server["version"].is_string());
    CHECK(server["extensions"].size() >= 5);
    const json model = replay_json(served, "triton_model_metadata");
    CHECK(model["name"] == "clip");
    CHECK(model["versions"] == json::array({"1"}));
    CHECK(model["inputs"][0] ==
          json({{"name", "IMAGE"}, {"datatype", "BYTES"}, {"shape", {-1, 1}}}));
    CHECK(model["outputs"][0] ==
          json({{"name", "image_embeds"}, {"datatype", "FP32"}, {"shape", {-1, 4}}}));
    const json config = replay_json(served, "triton_model_config");
    CHECK(config["max_batch_size"] > 0); // so that clients send a batch dimension
    CHECK(config["input"][0]["data_type"] == "TYPE_STRING");
    CHECK(config["output"][0]["dims"] == json::array({4}));
    CHECK(config.contains("dynamic_batching"));
    for (const char* key : {"sequence_batching", "ensemble_scheduling", "response_cache"})
        CHECK(!config.contains(key));
    const json index = replay_json(served, "triton_repository_index");
    CHECK(index[0]["state"] == "READY");
}

TEST_CASE("clients: statistics hold every member that perf_analyzer reads") {
    const Served served;
    replay(served, "triton_infer_binary");
    for (const char* name : {"triton_statistics", "triton_all_statistics"}) {
        const json model = replay_json(served, name)["model_stats"][0];
        CHECK(model["name"] == "clip");
        CHECK(model["inference_count"] == 2);
        CHECK(model["last_inference"] > 0);
        for (const char* member : {"success", "queue", "compute_input", "compute_infer",
                                   "compute_output", "cache_hit", "cache_miss"}) {
            CHECK(model["inference_stats"][member]["count"].is_number_integer());
            CHECK(model["inference_stats"][member]["ns"].is_number_integer());
        }
        // It adds up the stages of requests, and ends itself where their counts differ.
        for (const char* member : {"queue", "compute_input", "compute_infer", "compute_output"})
            CHECK(model["inference_stats"][member]["count"] == 1);
        CHECK(model["inference_stats"]["success"]["count"] == 1);
        CHECK(model["inference_stats"]["compute_infer"]["ns"] == 500'000); // of both photos
    }
}

TEST_CASE("clients: perf_analyzer finds the model, sends photos and reads its statistics") {
    const Served served;
    CHECK(replay_json(served, "perf_analyzer_server_metadata")["extensions"].is_array());
    CHECK(replay_json(served, "perf_analyzer_model_metadata")["inputs"][0]["name"] == "IMAGE");
    CHECK(replay_json(served, "perf_analyzer_model_config")["max_batch_size"] > 0);
    const auto [json_part, bytes] = split(replay(served, "perf_analyzer_infer")); // two photos
    CHECK(json_part["id"] == "");
    CHECK(floats(bytes) == twice(expected(false)));
    const json model = replay_json(served, "perf_analyzer_statistics")["model_stats"][0];
    CHECK(model["inference_count"] == 2);
    CHECK(model["inference_stats"]["success"]["count"] == 1);
}

TEST_CASE("clients: tritonclient's binary photos give binary vectors") {
    const Served served;
    const auto [json_part, bytes] = split(replay(served, "triton_infer_binary"));
    CHECK(json_part["model_name"] == "clip");
    CHECK(!json_part.contains("id"));
    const json output = json_part["outputs"][0];
    CHECK(output["name"] == "image_embeds");
    CHECK(output["datatype"] == "FP32");
    CHECK(output["shape"] == json({2, 4}));
    CHECK(output["parameters"]["binary_data_size"] == bytes.size());
    CHECK(floats(bytes) == twice(expected(false)));
}

TEST_CASE("clients: tritonclient's photos and vectors may each be JSON, and the id comes back") {
    const Served served;
    const json reply = replay_json(served, "triton_infer_binary_to_json");
    CHECK(reply["id"] == "request 7");
    CHECK(reply["model_version"] == "1");
    CHECK(reply["outputs"][0]["data"].get<std::vector<float>>() == twice(expected(false)));
    const auto [json_part, bytes] = split(replay(served, "triton_infer_json"));
    CHECK(json_part["outputs"][0]["shape"] == json({2, 4}));
    CHECK(floats(bytes) == twice(expected(false)));
}

TEST_CASE("clients: OpenAI's client gets vectors of length one, in base64 as it asks by itself") {
    const Served served;
    const json reply = replay_json(served, "openai_embeddings");
    CHECK(reply["object"] == "list");
    CHECK(reply["model"] == "clip");
    REQUIRE(reply["data"].size() == 2);
    CHECK(reply["data"][1]["index"] == 1);
    CHECK(reply["data"][0]["embedding"].is_string());
    const json as_floats = replay_json(served, "openai_embeddings_float");
    CHECK(as_floats["data"][0]["embedding"].get<std::vector<float>>() == expected(true));
    CHECK(replay_json(served, "openai_models")["data"][0]["id"] == "clip");
}

#include <chrono>
#include <csignal>
#include <doctest/doctest.h>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/apps/program.h"
#include "tests/apps/workplace.h"
#include "tests/serve/raw_client.h"
#include "tests/support/sanitizers.h"

#include <sys/stat.h>

using namespace yeoul::test;
using nlohmann::json;

namespace {

Call serve_call(const Workplace& place, std::vector<std::string> more = {}) {
    Call call{.program = "engine-serve",
              .arguments = {"--model", place.model(), "--port", "0", "--threads", "2"}};
    call.arguments.insert(call.arguments.end(), more.begin(), more.end());
    return call;
}

/// Waits until it is ready; the port that it says.
int port_of(Running& program) {
    std::string address;
    REQUIRE(program.read_line(address));
    REQUIRE(address.starts_with("http://127.0.0.1:"));
    return std::stoi(address.substr(address.rfind(':') + 1));
}

Outcome stop(Running& program) {
    program.signal(SIGTERM);
    return program.finish();
}

} // namespace

TEST_CASE("serve: gives the vectors that engine-run gives, and SIGTERM ends it with 0") {
    const Workplace place;
    place.photo("a.ppm", 3);
    const Outcome expected =
        run({"embed", "--quiet", "--model", place.model(), "--format", "jsonl", place / "a.ppm"});
    Running program(serve_call(place));
    RawClient client(port_of(program));
    client.send(request("POST", "/v1/embed", place.read("a.ppm")));
    const RawReply reply = client.read_reply();
    REQUIRE(reply.status == 200);
    const json body = json::parse(reply.body);
    CHECK(body["embedding"] == json::parse(expected.out)["embedding"]);
    CHECK(body["model"] == "model"); // the folder's name
    CHECK(body["format"] == "pnm");
    CHECK(body["width"] == 48);
    CHECK(reply.headers.at("server-timing").find("decode;dur=") != std::string::npos);
    client.send(request("POST", "/v1/embed", "no photo at all"));
    const RawReply bad = client.read_reply();
    CHECK(bad.status == 400);
    CHECK(json::parse(bad.body)["code"] == "bad_image");
    client.send(request("POST", "/v1/embed", png_header_only(30000, 30000)));
    CHECK(client.read_reply().status == 413);
    const Outcome outcome = stop(program);
    CHECK(outcome.code == 0);
    CHECK(outcome.err.find("draining") != std::string::npos);
    CHECK(client.at_end());
}

TEST_CASE("serve: what was accepted before SIGTERM is answered") {
    const Workplace place;
    place.photo("a.ppm");
    Running program(serve_call(place));
    const int port = port_of(program);
    std::string form;
    for (int i = 0; i < 200; ++i)
        form += "--b\r\nContent-Disposition: form-data; name=photo; filename=a.ppm\r\n\r\n" +
                place.read("a.ppm") + "\r\n";
    RawClient client(port);
    // The interim reply says that the request was let in.
    const std::string text =
        request("POST", "/v1/embed", form + "--b--",
                "Content-Type: multipart/form-data; boundary=b\r\nExpect: 100-continue\r\n");
    const size_t head = text.find("\r\n\r\n") + 4;
    client.send(text.substr(0, head));
    client.read_interim();
    program.signal(SIGTERM);
    program.wait_until_taken(SIGTERM);
    client.send(text.substr(head));
    const RawReply reply = client.read_reply();
    REQUIRE(reply.status == 200);
    CHECK(json::parse(reply.body)["results"].size() == 200);
    CHECK(program.finish().code == 0);
}

TEST_CASE("serve: what it cannot start with is one sentence and an exit code") {
    const Workplace place;
    struct Case {
        std::vector<std::string> more;
        int code;
        const char* part;
    };
    const Case cases[] = {{{"--model", place / "none"}, 3, "none"},
                          {{"--host", "no.such.host.invalid"}, 1, "no.such.host.invalid"},
                          {{"--api-key-file", place / "keys"}, 1, "keys"},
                          {{"--prot", "1"}, 2, "did you mean '--port'?"},
                          {{"--port", "70000"}, 2, "70000"},
                          {{"extra"}, 2, "unexpected argument 'extra'"},
                          {{"--device", "cuda"}, 4, "CUDA"}};
    for (const Case& one : cases) {
        const Outcome outcome = run_call(serve_call(place, one.more));
        CAPTURE(outcome.err);
        CHECK(outcome.code == one.code);
        CHECK(outcome.out == "");
        CHECK(outcome.err.find(one.part) != std::string::npos);
    }
    Running first(serve_call(place));
    const std::string port = std::to_string(port_of(first));
    const Outcome second = run_call(serve_call(place, {"--port", port}));
    CHECK(second.code == 1);
    CHECK(second.err.find("cannot listen on 127.0.0.1:" + port) != std::string::npos);
    CHECK(stop(first).code == 0);
}

TEST_CASE("serve: keys come from a file, flags from variables, and help names them") {
    const Workplace place;
    place.write("keys", "secret\n");
    Call call = serve_call(place, {"--name", "mine"});
    call.environment = {"YEOUL_API_KEY_FILE=" + (place / "keys")};
    Running program(call);
    RawClient client(port_of(program));
    client.send(request("GET", "/v2/models") +
                request("GET", "/v2/models", "", "Authorization: Bearer secret\r\n"));
    CHECK(client.read_reply().status == 401);
    CHECK(client.read_reply().body == R"({"models": ["mine"]})");
    CHECK(stop(program).code == 0);
    const Outcome help = run_call(Call{.program = "engine-serve", .arguments = {"--help"}});
    CHECK(help.code == 0);
    CHECK(help.out.find("usage: engine-serve [flags]") != std::string::npos);
    CHECK(help.out.find("[YEOUL_API_KEY_FILE]") != std::string::npos);
}

TEST_CASE("serve: JSON logs are an object a line, slow requests among them") {
    const Workplace place;
    Running program(serve_call(place, {"--log-format", "json", "--slow-request-ms", "0"}));
    RawClient client(port_of(program));
    place.photo("a.ppm");
    client.send(request("POST", "/v1/embed?model=model", place.read("a.ppm")));
    CHECK(client.read_reply().status == 200);
    bool slow = false;
    const Outcome outcome = stop(program);
    for (const std::string& line : lines(outcome.err)) {
        CAPTURE(line);
        const json entry = json::parse(line);
        CHECK(entry["time"].get<std::string>().ends_with("Z"));
        slow |= entry["level"] == "warning" &&
                entry["message"].get<std::string>().starts_with("slow request: /v1/embed?model");
    }
    CHECK(slow);
    CHECK(outcome.code == 0);
}

TEST_CASE("serve: a lost GPU answers with device_lost and ends the program with 4") {
    const Workplace place;
    place.photo("a.ppm");
    const std::string pipe = place / "pipe";
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    Call call = serve_call(place, {"--device", "cuda", "--batch-size", "1"});
    call.environment = {std::string("YEOUL_CUDA_LIBRARY=") + YEOUL_EMULATED_CUDA,
                        "YEOUL_TEST_CUDA=", "YEOUL_TEST_LOSE_GPU=" + pipe};
    Running program(call);
    const int port = port_of(program);
    RawClient client(port);
    const std::string photo = request("POST", "/v1/embed", place.read("a.ppm"));
    client.send(photo);
    REQUIRE(client.read_reply().status == 200);
    // Somebody who never sends the rest holds nothing up.
    RawClient slow(port);
    const std::string announced =
        request("POST", "/v1/embed", place.read("a.ppm"), "Expect: 100-continue\r\n");
    slow.send(announced.substr(0, announced.find("\r\n\r\n") + 4));
    slow.read_interim();
    slow.send("half");
    std::ofstream(pipe) << 'x' << std::flush;
    // The emulator loses it a moment later; photos on their way may still be answered.
    RawReply reply;
    do {
        client.send(photo);
        reply = client.read_reply();
    } while (reply.status == 200);
    CHECK(reply.status == 503);
    CHECK(json::parse(reply.body)["code"] == "device_lost");
    const auto told = std::chrono::steady_clock::now();
    const RawReply cut_off = slow.read_reply();
    const Outcome outcome = program.finish(); // by itself
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - told;
    CHECK(seconds.count() < (kSanitized ? 5 : 1));
    CHECK(cut_off.status == 503);
    CHECK(json::parse(cut_off.body)["code"] == "device_lost");
    CAPTURE(outcome.err);
    CHECK(outcome.code == 4);
    CHECK(outcome.err.find("the device is lost") != std::string::npos);
}

TEST_CASE("serve: tags, near-duplicates and labels of a model with a text side") {
    const Workplace place;
    place.photo("a.ppm", 1);
    Call call = serve_call(place, {"--labels", "cat,dog,red car", "--template", "the {}"});
    const std::string model =
        std::string(YEOUL_SOURCE_DIR) + "/tests/golden/clip_text/quick-gelu-77";
    call.arguments[1] = model;
    Running program(call);
    RawClient client(port_of(program));
    client.send(request("POST", "/v1/tag", place.read("a.ppm")));
    const json tags = json::parse(client.read_reply().body)["tags"];
    const Outcome expected = run({"tag", "--model", model, place / "a.ppm", "--labels",
                                  "cat,dog,red car", "--template", "the {}", "--format", "jsonl"});
    CHECK(tags == json::parse(expected.out)["tags"]);

    std::string form;
    for (int i = 0; i < 3; ++i)
        form += "--b\r\nContent-Disposition: form-data; name=photo; filename=a.ppm\r\n\r\n" +
                (i == 1 ? "no photo" : place.read("a.ppm")) + "\r\n";
    client.send(request("POST", "/v1/duplicates", form + "--b--",
                        "Content-Type: multipart/form-data; boundary=b\r\n"));
    const json found = json::parse(client.read_reply().body)["duplicates"];
    CHECK(found["groups"] == json::parse("[[0,2]]"));
    CHECK(found["closest"]["cosine"] == doctest::Approx(1));

    const auto put = [&](const json& body) {
        client.send(request("PUT", "/v1/labels", body.dump()));
        return client.read_reply();
    };
    std::string most;
    for (int i = 0; i < 80; ++i)
        most += "1 ";
    struct Case {
        json body;
        const char* part;
    };
    const Case cases[] = {
        {{{"labels", json::array()}}, "no labels"},
        {{{"labels", {"cat", ""}}}, "label 2, \"\": is empty"},
        {{{"labels", {"cat", "dog", "Cat"}}}, "\"Cat\", is the same to the model as label 1"},
        {{{"labels", {"cat", most}}}, "tokens"},
        {{{"labels", {"cat"}}, {"template", "a photo"}}, "has no {}"},
        {{{"labels", {"cat"}}, {"templates", json::array()}}, "no templates"}};
    for (const Case& one : cases) {
        const RawReply refused = put(one.body);
        CAPTURE(refused.body);
        CHECK(refused.status == 400);
        const json body = json::parse(refused.body);
        CHECK(body["code"] == "invalid_argument");
        CHECK(body["error"].get<std::string>().find(one.part) != std::string::npos);
    }
    client.send(request("POST", "/v1/tag", place.read("a.ppm"))); // the old ones are in force
    CHECK(json::parse(client.read_reply().body)["tags"] == tags);
    CHECK(put({{"labels", {"sun"}}}).status == 200);
    client.send(request("POST", "/v1/tag", place.read("a.ppm")));
    CHECK(json::parse(client.read_reply().body)["tags"] ==
          json::parse(R"([{"label": "sun", "probability": 1}])"));
    CHECK(stop(program).code == 0);

    call.arguments.push_back("--labels-file");
    call.arguments.push_back(place / "a.ppm");
    CHECK(run_call(call).code == 2); // both
    const Outcome twice = run_call(serve_call(place, {"--model", model, "--labels", "cat,Cat"}));
    CHECK(twice.code == 2);
    CHECK(twice.err.find("\"Cat\", is the same to the model") != std::string::npos);
    const Outcome none = run_call(serve_call(place, {"--text"}));
    CHECK(none.code == 3);
    CHECK(none.err.find("has no text") != std::string::npos);
}

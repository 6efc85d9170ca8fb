// The engine as its users call it, on the bundled small model and photos.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <fstream>
#include <future>
#include <thread>

#include <yeoul/engine.h>

#include "engine/cuda_module.h"
#include "engine/lane.h"
#include "loader/image.h"
#include "tests/engine/golden.h"
#include "tests/support/temporary_directory.h"

using namespace yeoul;
using namespace yeoul::test;
namespace fs = std::filesystem;

namespace {

fs::path demo() {
    return fs::path(YEOUL_SOURCE_DIR) / "apps" / "demo";
}

EngineOptions demo_options() {
    EngineOptions options;
    options.model = demo() / "model";
    options.device = "cpu";
    options.threads = 2;
    return options;
}

std::vector<fs::path> demo_photo_paths() {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(demo() / "photos"))
        if (std::ranges::count(loader::known_extensions(), entry.path().extension().string()))
            paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    return paths;
}

/// Small photos that differ: (height, width, 3) of an integer hash over a gradient.
Photo generated_photo(int seed, int height = 48, int width = 64) {
    std::vector<uint8_t> pixels(static_cast<size_t>(height) * width * 3);
    uint32_t state = 0x9e3779b9u * (seed + 1);
    for (size_t i = 0; i < pixels.size(); ++i) {
        state = state * 1664525u + 1013904223u;
        pixels[i] = static_cast<uint8_t>((i * (seed + 3) / 97 + (state >> 26)) & 255);
    }
    return Photo::rgb(std::move(pixels), height, width);
}

std::vector<Photo> generated_photos(int count) {
    std::vector<Photo> photos;
    for (int i = 0; i < count; ++i)
        photos.push_back(generated_photo(i));
    return photos;
}

ErrorCode code_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const Error& error) {
        return error.code();
    }
    return ErrorCode::internal;
}

} // namespace

TEST_CASE("engine: the bundled photos and labels get the vectors that transformers gives them") {
    const loader::Safetensors file =
        loader::Safetensors::open_file(golden_root() / "demo" / "vectors.safetensors");
    const loader::TensorInfo* info = file.find("image_embeds");
    const loader::TensorInfo* text_info = file.find("text_embeds");
    REQUIRE(info != nullptr);
    REQUIRE(text_info != nullptr);
    const std::vector<float> reference = to_floats(loader::view(*info));
    const std::vector<float> text_reference = to_floats(loader::view(*text_info));

    EngineOptions with_text = demo_options();
    with_text.text = true;
    Engine engine = Engine::open(with_text);
    std::vector<Photo> photos;
    for (const fs::path& path : demo_photo_paths())
        photos.push_back(Photo::file(path));
    REQUIRE(static_cast<int64_t>(photos.size()) == info->shape[0]);
    REQUIRE(engine.info().dim == info->shape[1]);
    const std::vector<Result> results = engine.embed(photos);
    for (size_t i = 0; i < photos.size(); ++i) {
        CAPTURE(photos[i].path.filename().string());
        REQUIRE_FALSE(results[i].error.has_value());
        const Distance d =
            distance(results[i].embedding,
                     std::span(reference).subspan(i * engine.info().dim, engine.info().dim));
        CHECK(d.finite);
        CHECK(d.cosine >= 0.999999);
        CHECK(d.max_over_rms <= 1e-4);
    }

    std::ifstream labels(demo() / "labels.txt");
    std::vector<std::string> texts;
    for (std::string label; std::getline(labels, label);)
        texts.push_back("a photo of " + label);
    REQUIRE(static_cast<int64_t>(texts.size()) == text_info->shape[0]);
    const std::vector<std::vector<float>> vectors = engine.embed_text(texts);
    for (size_t i = 0; i < texts.size(); ++i) {
        CAPTURE(texts[i]);
        const Distance d =
            distance(vectors[i],
                     std::span(text_reference).subspan(i * engine.info().dim, engine.info().dim));
        CHECK(d.cosine >= 0.999999);
        CHECK(d.max_over_rms <= 1e-4);
    }
}

TEST_CASE("engine: one bad photo fails alone and order is kept") {
    Engine engine = Engine::open(demo_options());
    std::vector<Photo> photos = generated_photos(5);
    photos[1] = Photo::bytes({'n', 'o', ' ', 'i', 'm', 'a', 'g', 'e'});
    photos[3] = Photo::file("no such file.jpg");
    std::vector<int> seen(photos.size());
    Request request;
    request.photos = photos;
    request.on_item = [&](size_t index, const Result&) { ++seen[index]; };
    const std::vector<Result> results = engine.embed(std::move(request));

    REQUIRE(results.size() == 5);
    REQUIRE(results[1].error.has_value());
    CHECK(results[1].error->code != ErrorCode::internal);
    CHECK(results[1].embedding.empty());
    REQUIRE(results[3].error.has_value());
    CHECK(results[3].error->code == ErrorCode::not_found);
    for (int i : {0, 2, 4}) {
        CHECK_FALSE(results[i].error.has_value());
        CHECK(results[i].embedding == engine.embed({photos[i]})[0].embedding);
    }
    for (int count : seen)
        CHECK(count == 1);
    CHECK(engine.stats().photos == 8);
    CHECK(engine.stats().failed == 2);
}

TEST_CASE("engine: two streams on one model give bitwise what one gives") {
    EngineOptions one = demo_options(), two = demo_options();
    one.batch_size = two.batch_size = 2;
    two.streams = 2;
    Engine single = Engine::open(one), twin = Engine::open(two);
    const std::vector<Photo> photos = generated_photos(24);
    const std::vector<Result> expected = single.embed(photos);
    std::vector<std::future<std::vector<Result>>> futures;
    for (int round = 0; round < 3; ++round)
        futures.push_back(std::async(std::launch::async, [&] { return twin.embed(photos); }));
    for (auto& future : futures) {
        const std::vector<Result> results = future.get();
        for (size_t i = 0; i < photos.size(); ++i)
            CHECK(results[i].embedding == expected[i].embedding);
    }
}

TEST_CASE("engine: any batch size gives the same vectors") {
    const std::vector<Photo> photos = generated_photos(7);
    EngineOptions one = demo_options();
    one.batch_size = 1;
    const std::vector<Result> expected = Engine::open(one).embed(photos);
    for (int batch_size : {2, 3, 7, 8}) {
        EngineOptions other = demo_options();
        other.batch_size = batch_size;
        const std::vector<Result> results = Engine::open(other).embed(photos);
        for (size_t i = 0; i < photos.size(); ++i) {
            const Distance d = distance(results[i].embedding, expected[i].embedding);
            CHECK(d.finite);
            CHECK(d.max_over_rms <= 1e-5); // other blocking, other order of sums
        }
    }
}

TEST_CASE("engine: normalize divides by the length") {
    Engine engine = Engine::open(demo_options());
    Request request;
    request.photos = generated_photos(1);
    request.normalize = true;
    const std::vector<float> unit = engine.embed(request)[0].embedding;
    const std::vector<float> raw = engine.embed(request.photos)[0].embedding;
    double length = 0, scale = 0;
    for (size_t i = 0; i < raw.size(); ++i) {
        length += double{unit[i]} * unit[i];
        scale += double{raw[i]} * raw[i];
    }
    CHECK(std::abs(length - 1) < 1e-6);
    for (size_t i = 0; i < raw.size(); ++i)
        CHECK(std::abs(unit[i] - raw[i] / std::sqrt(scale)) < 1e-6);
}

TEST_CASE("engine: a photo at the model's own size is taken as it is") {
    Engine engine = Engine::open(demo_options());
    const int size = engine.info().image_width;
    const Photo photo = generated_photo(1, size, size);
    const Result result = engine.embed({photo})[0];
    REQUIRE_FALSE(result.error.has_value());
    CHECK(result.width == size);
    CHECK(result.format == "pixels");
}

TEST_CASE("engine: what is cancelled or still queued at the end is answered once") {
    std::stop_source stop;
    stop.request_stop();
    Engine engine = Engine::open(demo_options());
    Request request;
    request.photos = generated_photos(3);
    request.stop = stop.get_token();
    for (const Result& result : engine.embed(request)) {
        REQUIRE(result.error.has_value());
        CHECK(result.error->code == ErrorCode::cancelled);
    }

    std::atomic<int> answers = 0, photos = 0;
    {
        Engine closing = Engine::open(demo_options());
        for (int i = 0; i < 20; ++i)
            closing.submit({.photos = generated_photos(9)}, [&](std::vector<Result> results) {
                ++answers;
                photos += static_cast<int>(results.size());
            });
    }
    CHECK(answers == 20);
    CHECK(photos == 180);
}

TEST_CASE("engine: an empty request is answered") {
    CHECK(Engine::open(demo_options()).embed(std::vector<Photo>{}).empty());
}

TEST_CASE("engine: pixels that are not height x width x 3 are a bad image") {
    Engine engine = Engine::open(demo_options());
    Photo photo = Photo::rgb(std::vector<uint8_t>(10), 2, 2);
    const Result result = engine.embed({photo})[0];
    REQUIRE(result.error.has_value());
    CHECK(result.error->code == ErrorCode::bad_image);
}

TEST_CASE("engine: options out of range and devices that are not there are refused") {
    const auto open_with = [](auto change) {
        EngineOptions changed = demo_options();
        change(changed);
        return code_of([&] { Engine::open(changed); });
    };
    CHECK(open_with([](auto& o) { o.batch_size = -1; }) == ErrorCode::invalid_argument);
    CHECK(open_with([](auto& o) { o.streams = 0; }) == ErrorCode::invalid_argument);
    CHECK(open_with([](auto& o) { o.streams = 5; }) == ErrorCode::invalid_argument);
    CHECK(open_with([](auto& o) { o.threads = -1; }) == ErrorCode::invalid_argument);
    CHECK(open_with([](auto& o) { o.max_pixels = 0; }) == ErrorCode::invalid_argument);
    CHECK(open_with([](auto& o) { o.device = "tpu"; }) == ErrorCode::invalid_argument);
    CHECK(open_with([](auto& o) { o.device = "cuda:2147483647"; }) == ErrorCode::device);
    const CudaModule module;
    if (module.problem() || cuda_problem(module.report(), 0)) // else this machine has a GPU
        CHECK(open_with([](auto& o) { o.device = "cuda"; }) == ErrorCode::device);
    CHECK(open_with([](auto& o) { o.precision = Precision::fp16; }) == ErrorCode::device);
    CHECK(open_with([](auto& o) { o.model = "nowhere"; }) == ErrorCode::model);
}

TEST_CASE("engine: a vector that is not finite is an error, never a result") {
    const TemporaryDirectory temporary;
    fs::copy(demo() / "model", temporary.path(), fs::copy_options::recursive);
    const loader::Safetensors file = loader::Safetensors::open_directory(demo() / "model");
    std::vector<std::vector<std::byte>> copies;
    std::vector<loader::TensorToWrite> tensors;
    for (const auto& [name, info] : file.tensors()) {
        copies.emplace_back(info.data.begin(), info.data.end());
        if (name == "visual_projection.weight")
            std::memset(copies.back().data(), 0xff, 4); // NaN in fp32, fp16 and bf16
        tensors.push_back({name, info.dtype, info.shape, copies.back()});
    }
    loader::write_safetensors(temporary.path() / "model.safetensors", tensors);
    EngineOptions poisoned = demo_options();
    poisoned.model = temporary.path();
    const Result result = Engine::open(poisoned).embed(generated_photos(1))[0];
    REQUIRE(result.error.has_value());
    CHECK(result.error->code == ErrorCode::non_finite);
    CHECK(result.embedding.empty());
}

TEST_CASE("engine: what it holds is in its books, and photos take nothing more") {
    EngineOptions two = demo_options();
    two.streams = 2;
    Engine engine = Engine::open(two);
    const std::string before = engine.memory_snapshot();
    const int64_t photos = static_cast<int64_t>(engine.embed(generated_photos(40)).size());
    const EngineStats stats = engine.stats();
    CHECK(stats.photos == photos);
    CHECK(stats.device_allocations_since_ready == 0);
    CHECK(engine.memory_snapshot() == before);
    REQUIRE(stats.memory.size() == 3);
    int64_t reserved = 0;
    for (const MemoryUse& use : stats.memory) {
        CAPTURE(use.tag);
        CHECK(use.pinned == (use.tag == "staging"));
        CHECK(use.reserved_bytes >= use.allocated_bytes);
        CHECK(use.peak_bytes >= use.allocated_bytes);
        CHECK(use.allocated_bytes > 0);
        reserved += use.reserved_bytes;
    }
    CHECK(stats.memory[0].tag == "weights");
    CHECK(stats.memory[0].allocated_bytes >= stats.weight_bytes);

    two.memory_budget_bytes = static_cast<size_t>(reserved) / 2;
    CHECK(code_of([&] { Engine::open(two); }) == ErrorCode::out_of_memory);
}

TEST_CASE("engine: photos are tagged on request, each as if it were alone") {
    EngineOptions with_text = demo_options();
    with_text.model = golden_root() / "clip_text" / "quick-gelu-77";
    with_text.text = true;
    Engine engine = Engine::open(with_text);
    CHECK(code_of([&] { engine.embed(Request{.photos = generated_photos(1), .tags = 1}); }) ==
          ErrorCode::invalid_argument); // no labels yet
    engine.set_labels({.names = {"cat", "dog", "red car"}});
    Request request{.photos = generated_photos(5), .tags = 2};
    request.photos[3] = Photo::rgb({1, 2, 3}, 9, 9); // fails alone
    std::atomic<int> seen = 0;
    request.on_item = [&](size_t, const Result& result) {
        seen += result.tags.size() == 2 && !result.error;
    };
    const std::vector<Result> results = engine.embed(request);
    CHECK(seen == 4);
    for (size_t i = 0; i < results.size(); ++i) {
        CHECK(results[i].tags.size() == (i == 3 ? 0 : 2));
        if (i == 3)
            continue;
        const auto alone = engine.tag({results[i].embedding}, 3);
        for (size_t rank = 0; rank < 2; ++rank) {
            CHECK(alone[0][rank].label == results[i].tags[rank].label);
            CHECK(std::abs(alone[0][rank].probability - results[i].tags[rank].probability) < 1e-6);
        }
    }
    Request plain{.photos = generated_photos(5)};
    const std::vector<Result> untagged = engine.embed(plain);
    for (size_t i = 0; i < results.size(); ++i) {
        CHECK(untagged[i].tags.empty());
        if (i != 3) // another graph, the same pass
            CHECK(untagged[i].embedding == results[i].embedding);
    }
    CHECK(engine.embed_text({"a photo of a cat"})[0].size() ==
          static_cast<size_t>(engine.info().dim));
    CHECK(engine.embed_text({}).empty());
}

TEST_CASE("engine: labels replaced while photos are tagged: each photo has tags of one set") {
    EngineOptions with_text = demo_options();
    with_text.model = golden_root() / "clip_text" / "quick-gelu-77";
    with_text.text = true;
    with_text.streams = 2;
    Engine engine = Engine::open(with_text);
    const Labels sets[] = {{.names = {"cat", "dog", "bird"}}, {.names = {"red", "green"}}};
    engine.set_labels(sets[0]);
    std::atomic<int> wrong = 0, photos = 0;
    {
        std::jthread tagging([&](std::stop_token stop) {
            while (!stop.stop_requested())
                for (const Result& result :
                     engine.embed(Request{.photos = generated_photos(3), .tags = 3})) {
                    const auto& names = sets[result.tags.size() == 3 ? 0 : 1].names;
                    wrong += result.error || result.tags.size() != names.size();
                    for (const Tag& tag : result.tags)
                        wrong += tag.label != names[static_cast<size_t>(tag.index)];
                    ++photos;
                }
        });
        for (int i = 0; i < 20; ++i)
            engine.set_labels(sets[i % 2]);
        while (photos < 3)
            std::this_thread::yield();
    }
    CHECK(wrong == 0);
    const auto now = engine.embed(Request{.photos = generated_photos(1), .tags = 3})[0].tags;
    REQUIRE(now.size() == 2);
    CHECK(sets[1].names[static_cast<size_t>(now[0].index)] == now[0].label);
}

TEST_CASE("engine: text, labels and groups that cannot be served are the caller's fault") {
    Engine engine = Engine::open(demo_options());
    for (const std::function<void()>& call : std::initializer_list<std::function<void()>>{
             [&] { engine.embed_text({"a cat"}); }, [&] { engine.set_labels({.names = {"cat"}}); },
             [&] {
                 engine.tag({{1, 2}}, 1);
             },
             [&] { engine.embed(Request{.photos = generated_photos(1), .tags = 1}); },
             [&] {
                 engine.duplicates({{1, 2}, {1, 2, 3}}, 0.9);
             },
             [&] {
                 engine.duplicates({{1, 2}}, 0);
             }})
        CHECK(code_of(call) == ErrorCode::invalid_argument);
    EngineOptions with_text = demo_options();
    with_text.model = golden_root() / "clip" / "quick-gelu-50"; // it has no text side
    with_text.text = true;
    CHECK(code_of([&] { Engine::open(with_text); }) == ErrorCode::model);
    const Duplicates found = engine.duplicates({{1, 0}, {}, {0, 1}, {2, 0}}, 0.9);
    CHECK(found.groups == std::vector<std::vector<int>>{{0, 3}});
}

TEST_CASE("lane: graph replay is bitwise equal to the eager pass") {
    const Golden golden(golden_models("clip").front());
    const std::unique_ptr<Backend> backend = make_cpu_backend(2);
    const Numerics fp32 = backend->numerics("fp32");
    Checkpoint checkpoint(golden.weights);
    ClipVision model(golden.config.clip_vision, golden.preprocessor.normalization_table(),
                     checkpoint, *backend, fp32, {1, golden.photos});
    std::vector<uint8_t> slots(golden.pixels.begin(), golden.pixels.end());
    Lane lane(*backend, *backend, model,
              View(slots.data(), DType::u8,
                   {golden.photos, model.image_height(), model.image_width(), 3}),
              {1, golden.photos});
    std::vector<int> order;
    for (int i = 0; i < golden.photos; ++i)
        order.push_back(i);
    const std::vector<float> eager = forward(golden, *backend, fp32).at("image_embeds").values;
    for (int round = 0; round < 3; ++round) {
        lane.launch(1, order);
        lane.launch(0, std::span(order).subspan(1, 1)); // two in flight
        const BatchOutput whole = lane.wait();
        CHECK(std::memcmp(whole.embeds, eager.data(), eager.size() * sizeof(float)) == 0);
        const BatchOutput single = lane.wait();
        const Distance d = distance(std::span(single.embeds, model.dim()),
                                    std::span(eager).subspan(model.dim(), model.dim()));
        CHECK(d.max_over_rms <= 1e-5); // another batch size, another order of sums
    }
}

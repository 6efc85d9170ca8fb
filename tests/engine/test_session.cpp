// Engines whole, on the CPU and on the emulated GPU, in good days and bad.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "engine/session.h"
#include "tests/engine/faulty_backend.h"
#include "tests/engine/golden.h"
#include "tests/support/cuda_backend.h"
#include "tests/support/metrics.h"
#include "tests/support/random.h"
#include "tests/support/sanitizers.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

EngineOptions session_options(int batch_size = 4, int streams = 1) {
    EngineOptions options;
    options.model = golden_root() / "clip" / "patch32-5-bf16"; // 5 tokens: quick to emulate
    options.batch_size = batch_size;
    options.streams = streams;
    options.threads = 2;
    return options;
}

Photo coarse_noise(int height, int width, uint32_t seed) {
    std::vector<uint8_t> pixels(size_t{3} * height * width);
    for (size_t i = 0; i < pixels.size(); ++i) {
        seed = seed * 1664525u + 1013904223u;
        pixels[i] = static_cast<uint8_t>((i / 50 + (seed >> 26)) & 255);
    }
    return Photo::rgb(std::move(pixels), height, width);
}

EngineOptions text_options() {
    EngineOptions options = session_options();
    options.model = golden_root() / "clip_text" / "quick-gelu-77";
    options.text = true;
    return options;
}

size_t use_of(const Session& session, const std::string& tag) {
    size_t bytes = 0;
    for (const MemoryUse& use : session.stats().memory)
        bytes += tag.empty() || use.tag == tag ? static_cast<size_t>(use.reserved_bytes) : 0;
    return bytes;
}
size_t reserved(const Session& session) {
    return use_of(session, "");
}

std::vector<Photo> photos(int count) {
    std::vector<Photo> photos;
    for (int i = 0; i < count; ++i)
        photos.push_back(
            coarse_noise(40 + 13 * (i % 9), 50 + 17 * (i % 5), static_cast<uint32_t>(i)));
    return photos;
}

std::vector<Result> embed(Session& session, std::vector<Photo> photos) {
    std::promise<std::vector<Result>> promise;
    session.submit({.photos = std::move(photos)},
                   [&](std::vector<Result> results) { promise.set_value(std::move(results)); });
    return promise.get_future().get();
}

/// Forwards until a call is to fail, and then, if lost, fails every one: a sticky error.
class FailingBackend final : public ForwardingBackend {
public:
    explicit FailingBackend(std::unique_ptr<Backend> inner)
        : ForwardingBackend(*inner), owned_(std::move(inner)) {}

    std::atomic<int> fail_at = 0; // this call and, when `lost`, all after it; 0: none
    std::atomic<int> calls = 0;
    bool lost = false;

    void copy(void* y, const void* x, size_t bytes, CopyKind kind, StreamRef stream) override {
        call();
        ForwardingBackend::copy(y, x, bytes, kind, stream);
    }
    void record(EventRef event, StreamRef stream) override {
        call();
        ForwardingBackend::record(event, stream);
    }
    void wait(EventRef event, StreamRef stream) override {
        call();
        ForwardingBackend::wait(event, stream);
    }
    void synchronize(EventRef event) override {
        call();
        ForwardingBackend::synchronize(event);
    }
    bool complete(EventRef event) override {
        call();
        return ForwardingBackend::complete(event);
    }
    void synchronize(StreamRef stream) override { ForwardingBackend::synchronize(stream); }
    void launch(Graph& graph, StreamRef stream) override {
        call();
        ForwardingBackend::launch(graph, stream);
    }

private:
    void call() {
        const int number = ++calls;
        if (fail_at == 0 || number < fail_at || (number > fail_at && !lost))
            return;
        if (lost)
            throw Error(ErrorCode::device_lost, "the device is lost: a test");
        throw OutOfMemory(1, "a test");
    }
    std::unique_ptr<Backend> owned_;
};

} // namespace

TEST_CASE("simt: session: photos of any size get on the GPU what they get on the CPU") {
    Session cpu(make_cpu_backend(2), session_options()),
        gpu(make_fp16_backend(), session_options(4, 2));
    const std::vector<Photo> album = photos(30);
    const std::vector<Result> expected = embed(cpu, album), results = embed(gpu, album);
    for (size_t i = 0; i < album.size(); ++i) {
        REQUIRE_FALSE(results[i].error.has_value());
        const Distance d = distance(results[i].embedding, expected[i].embedding);
        CHECK(d.finite);
        CHECK(d.cosine >= 0.9999);
    }
    const Intake::Counts counts = gpu.prepared().pipeline->intake().counts();
    CHECK(counts.device_resized + counts.host_resized == 30);
    CHECK(counts.device_resized > 0);
    const EngineStats stats = gpu.stats();
    CHECK(stats.device_allocations_since_ready == 0);
    int64_t rows = 0, computed = 0;
    for (const EngineStats::Bucket& bucket : stats.buckets) {
        rows += bucket.replays * bucket.batch;
        computed += bucket.photos;
    }
    CHECK(computed == 30);
    CHECK(rows >= 30);
}

TEST_CASE("simt: session: photos get their tags in the pass that computes them") {
    Session gpu(make_fp16_backend(), text_options());
    gpu.set_labels({.names = {"cat", "dog", "red car", "a bird"}});
    const int64_t taken = gpu.stats().device_allocations_since_ready; // of the labels
    std::promise<std::vector<Result>> promise;
    gpu.submit({.photos = photos(3), .tags = 3},
               [&](std::vector<Result> results) { promise.set_value(std::move(results)); });
    for (const Result& result : promise.get_future().get()) {
        REQUIRE_FALSE(result.error.has_value());
        const std::vector<Tag> alone = gpu.tag({result.embedding}, 3).front();
        REQUIRE(result.tags.size() == 3);
        for (size_t rank = 0; rank < 3; ++rank) {
            CHECK(result.tags[rank].label == alone[rank].label);
            CHECK(std::abs(result.tags[rank].probability - alone[rank].probability) < 1e-5);
        }
    }
    CHECK(gpu.stats().device_allocations_since_ready == taken);
}

TEST_CASE("session: an instance beside another shares its weights and nothing else") {
    for (const bool host : {true, false}) {
        if (!host && kSlowSanitizer)
            continue;
        Session first(host ? make_cpu_backend(1) : make_fp16_backend(), session_options(),
                      {.batches = {1, 4}});
        Session second(first, session_options());
        const std::vector<Photo> album = photos(host ? 30 : 5);
        // At the same time.
        std::promise<std::vector<Result>> promise;
        first.submit({.photos = album},
                     [&](std::vector<Result> results) { promise.set_value(std::move(results)); });
        const std::vector<Result> other = embed(second, album);
        const std::vector<Result> results = promise.get_future().get();
        for (size_t i = 0; i < album.size(); ++i) {
            REQUIRE_FALSE(results[i].error.has_value());
            REQUIRE_FALSE(other[i].error.has_value());
            CHECK(distance(other[i].embedding, results[i].embedding).cosine >= 0.9999);
        }
        const auto held = [](const Session& session, const std::string& tag) {
            int64_t bytes = 0;
            for (const MemoryUse& use : session.stats().memory)
                bytes += use.tag == tag ? use.allocated_bytes : 0;
            return bytes;
        };
        CHECK(held(first, "weights") > 0);
        CHECK(held(second, "weights") == 0);
        CHECK(second.stats().weight_bytes == 0);
        CHECK(held(second, "activations") == held(first, "activations"));
        CHECK(second.stats().photos == static_cast<int64_t>(album.size()));
        CHECK(second.stats().device_allocations_since_ready == 0);
        CHECK_THROWS_AS(second.embed_text({"no text here"}), Error);

        Session small(first, session_options(), {.batches = {1}});
        CHECK(small.device().batch_size == 1);
        CHECK(held(small, "activations") < held(first, "activations"));
        CHECK(embed(small, album).size() == album.size());
        CHECK_THROWS_AS(Session(first, session_options(), {.batches = {1, 1000}}), Error);
    }
}

TEST_CASE("session: labels beyond the budget are refused, and the old ones stay") {
    EngineOptions options = text_options();
    options.memory_budget_bytes =
        plan_memory(*make_cpu_backend(2), plan_request(*make_cpu_backend(2), options))
            .needed_bytes() +
        (size_t{3} << 20);
    Session session(make_cpu_backend(2), options);
    session.set_labels({.names = {"cat", "dog"}});
    const std::vector<std::vector<float>> vectors = {
        std::vector<float>(static_cast<size_t>(session.info().dim), 1.0F)};
    CHECK(session.tag(vectors, 2).front().size() == 2);
    CHECK(reserved(session) <= options.memory_budget_bytes);
    Labels many{.names = {}, .templates = {"{}"}};
    for (int i = 0; i < (3 << 20) / 4 / session.info().dim; ++i)
        many.names.push_back(std::to_string(i));
    for (int again = 0; again < 2; ++again) { // and it leaves nothing behind
        try {
            session.set_labels(many);
            FAIL_CHECK("they were set");
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::out_of_memory);
        }
        CHECK(reserved(session) <= options.memory_budget_bytes);
        CHECK(session.tag(vectors, 2).front().size() == 2);
    }
    // What fits, fits again: the memory of the last ones is given back for the next.
    many.names.resize(many.names.size() / 6);
    for (int again = 0; again < 2; ++again) {
        session.set_labels(many);
        CHECK(reserved(session) <= options.memory_budget_bytes);
    }
}

TEST_CASE("session: what takes memory of the device after start-up is counted, whoever asks") {
    for (const bool host : {true, false}) {
        if (!host && kSlowSanitizer)
            continue;
        CAPTURE(host);
        Session session(host ? make_cpu_backend(2) : make_fp16_backend(), text_options());
        const auto allocations = [&] { return session.stats().device_allocations_since_ready; };
        CHECK(allocations() == 0);
        session.set_labels({.names = {"cat", "dog"}});
        const int64_t of_labels = allocations();
        CHECK(of_labels > 0);
        CHECK(use_of(session, "labels") > 0);
        CHECK(session.stats().device_synchronizations_since_ready == 0);

        const std::vector<float> values = random_eighths(size_t{1100} * 16, 4, 3);
        std::vector<std::vector<float>> vectors;
        for (size_t i = 0; i < 1100; ++i)
            vectors.emplace_back(values.begin() + static_cast<ptrdiff_t>(16 * i),
                                 values.begin() + static_cast<ptrdiff_t>(16 * i + 16));
        session.duplicates(vectors, 0.99);
        const int64_t of_search = allocations();
        CHECK(of_search > of_labels);
        CHECK(use_of(session, "workspace") > 0);
        session.duplicates(vectors, 0.99);
        CHECK(allocations() == of_search); // from the cache
    }
}

TEST_CASE("session: who listens to its memory hears of every piece, from start to end") {
    class Books final : public MemoryListener {
    public:
        void allocated(const void* data, size_t bytes, MemoryTag tag, StreamRef) noexcept override {
            const std::lock_guard lock(mutex);
            good &= live.emplace(std::pair(tag, data), BlockPolicy::rounded(bytes)).second;
            ++steps;
        }
        void released(const void* data, MemoryTag tag) noexcept override {
            const std::lock_guard lock(mutex);
            good &= live.erase({tag, data}) == 1;
            ++steps;
        }
        std::mutex mutex;
        std::map<std::pair<MemoryTag, const void*>, size_t> live;
        int steps = 0;
        bool good = true;
    };
    for (const bool host : {true, false}) {
        if (!host && kSlowSanitizer)
            continue;
        Books books;
        const auto check_live = [&](const Session& session) {
            size_t heard = 0, held = 0;
            for (const auto& [key, bytes] : books.live)
                heard += bytes;
            for (const MemoryUse& use : session.stats().memory)
                held += static_cast<size_t>(use.allocated_bytes);
            CHECK(heard == held);
        };
        {
            Session session(host ? make_cpu_backend(2) : make_fp16_backend(), text_options(),
                            {.listener = &books});
            check_live(session);
            const int steps = books.steps;
            embed(session, photos(3));
            CHECK(books.steps == steps);
            session.set_labels({.names = {"cat", "dog"}});
            CHECK(books.steps > steps);
            check_live(session);
        }
        CHECK(books.live.empty());
        CHECK(books.good);
    }
}

TEST_CASE("session: a device lost beside photos is lost for all") {
    const std::function<void(Session&)> calls[] = {
        [](Session& session) {
            session.set_labels({.names = {"red", "green"}});
        },
        [](Session& session) { session.embed_text({"cat"}); },
        [](Session& session) {
            session.tag({std::vector<float>(static_cast<size_t>(session.info().dim), 1.0F)}, 1);
        },
        [](Session& session) {
            session.duplicates(std::vector(1100, std::vector<float>(16, 1.0F)), 0.9);
        }};
    for (const auto& call : calls) {
        auto made = std::make_unique<FailingBackend>(make_cpu_backend(1));
        FailingBackend& backend = *made;
        Session session(std::move(made), text_options());
        session.set_labels({.names = {"cat", "dog"}});
        backend.lost = true;
        backend.fail_at = backend.calls + 1;
        CHECK_THROWS_AS(call(session), Error);
        CHECK_FALSE(session.ready());
        for (const Result& result : embed(session, photos(1)))
            CHECK(result.error->code == ErrorCode::device_lost);
    }
}

TEST_CASE("session: a thousand requests take no memory of the device") {
    for (const bool host : {true, false}) {
        if (!host && kSlowSanitizer)
            continue;
        const std::unique_ptr<Backend> inner = host ? make_cpu_backend(2) : make_fp16_backend();
        auto faulty = std::make_unique<FaultyBackend>(*inner);
        FaultyBackend& backend = *faulty;
        {
            Session session(std::move(faulty), session_options());
            backend.fails = [](int) { return true; }; // from here on
            const int taken = backend.calls;
            const std::string before = session.memory_snapshot();
            const int count = !host ? 20 : kSlowSanitizer ? 250 : 1000;
            std::atomic<int> answered = 0, failed = 0;
            for (int i = 0; i < count; ++i) {
                session.submit({.photos = photos(1 + i % 2)}, [&](std::vector<Result> results) {
                    for (const Result& result : results)
                        failed += result.error.has_value();
                    ++answered;
                });
                while (i - answered > 50)
                    std::this_thread::yield();
            }
            while (answered < count)
                std::this_thread::yield();
            CHECK(failed == 0);
            CHECK(backend.calls == taken);
            CHECK(session.memory_snapshot() == before);
        }
    }
}

TEST_CASE("session: a call of the device that fails takes some photos, and never an answer") {
    for (const bool lost : {false, true})
        for (const bool host : {true, false}) {
            if (!host && kSlowSanitizer)
                continue;
            CAPTURE(lost);
            CAPTURE(host);
            bool met = true;
            for (int fault = 1; met; fault += (host ? 4 : 9) * (kSanitized ? 3 : 1)) {
                CAPTURE(fault);
                auto made = std::make_unique<FailingBackend>(host ? make_cpu_backend(1)
                                                                  : make_fp16_backend());
                FailingBackend& backend = *made;
                Session session(std::move(made), session_options(2));
                backend.lost = lost;
                const int before = backend.calls;
                backend.fail_at = before + fault;
                const auto start = std::chrono::steady_clock::now();
                const std::vector<Result> results = embed(session, photos(6));
                const std::chrono::duration<double> seconds =
                    std::chrono::steady_clock::now() - start;
                met = backend.calls >= before + fault;
                const ErrorCode code = lost ? ErrorCode::device_lost : ErrorCode::out_of_memory;
                int failed = 0;
                for (const Result& result : results) {
                    failed += result.error.has_value();
                    if (result.error)
                        CHECK((result.error->code == code ||
                               (!lost && result.error->code == ErrorCode::internal)));
                    else
                        CHECK(result.embedding.size() == static_cast<size_t>(session.info().dim));
                }
                // Asking once in vain whether an upload is done harms nobody.
                CHECK((lost ? (failed > 0) == met : failed == 0 || met));
                CHECK(session.ready() == !(lost && met));
                if (lost && met && !kSlowSanitizer)
                    CHECK(seconds.count() < 1);
                // The next request is served, or told at once.
                backend.fail_at = lost && met ? 1 : 0;
                for (const Result& result : embed(session, photos(2)))
                    CHECK(result.error.has_value() == (lost && met));
                if (fault > 400)
                    break;
            }
        }
}

// The trace of an engine: what it says ran did run, once, in order.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <fstream>
#include <future>
#include <map>
#include <mutex>
#include <optional>

#include <nlohmann/json.hpp>

#include "engine/session.h"
#include "engine/telemetry/traced.h"
#include "tests/engine/golden.h"
#include "tests/support/cuda_backend.h"
#include "tests/support/temporary_directory.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

struct Span {
    std::string row, name;
    double start, stop;
    int64_t size;
};

EngineOptions traced_options(const TemporaryDirectory& directory) {
    EngineOptions options;
    options.model = golden_root() / "clip" / "patch32-5-bf16";
    options.batch_size = 2;
    options.threads = 2;
    options.trace = directory.path() / "trace.json";
    return options;
}

std::future<std::vector<Result>> submit(Session& session, int count) {
    Request request;
    for (int i = 0; i < count; ++i)
        request.photos.push_back(Photo::rgb(std::vector<uint8_t>(3 * 60 * 80, 7), 60, 80));
    const auto promise = std::make_shared<std::promise<std::vector<Result>>>();
    session.submit(std::move(request), [promise](std::vector<Result> results) {
        promise->set_value(std::move(results));
    });
    return promise->get_future();
}

void check_good(std::future<std::vector<Result>> results) {
    for (const Result& result : results.get())
        CHECK_FALSE(result.error.has_value());
}

std::vector<Span> read_spans(const std::filesystem::path& path) {
    std::ifstream file(path);
    const nlohmann::json trace = nlohmann::json::parse(file);
    CHECK(trace["otherData"]["spans_left_out"] == 0);
    std::map<int, std::string> rows;
    std::vector<Span> spans;
    for (const auto& event : trace["traceEvents"])
        if (event["ph"] == "M") {
            rows[event["tid"]] = event["args"]["name"];
        } else {
            const double start = event["ts"], us = event["dur"];
            spans.push_back({rows.at(event["tid"]), event["name"], start, start + us,
                             event.contains("args") ? int64_t{event["args"]["size"]} : 0});
        }
    return spans;
}

/// Of an engine that embeds `count` photos.
std::vector<Span> traced(std::unique_ptr<Backend> backend, int count) {
    const TemporaryDirectory directory;
    const EngineOptions options = traced_options(directory);
    {
        Session session(std::move(backend), options);
        check_good(submit(session, count));
    }
    return read_spans(options.trace);
}

/// The emulator runs what is enqueued when somebody waits for it, and nothing before. Here a pass
/// that has begun goes on once copies for the next one ran, as they do on a device that copies and
/// computes at once: or not at all, where anything orders them behind the pass.
class CopiesMeanwhile final : public ForwardingBackend {
public:
    explicit CopiesMeanwhile(std::unique_ptr<Backend> inner)
        : ForwardingBackend(*inner), owned_(std::move(inner)) {}

    void arm() {
        const std::lock_guard lock(mutex_);
        armed_ = true;
    }
    /// The next pass is enqueued.
    bool wait_for_pass() {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, kPatience, [&] { return begun_ != nullptr; });
    }
    /// Runs the device up to the pass, then what is copied from here on; then anybody may wait.
    bool run_copies() {
        bool copied = false;
        {
            std::unique_lock lock(mutex_);
            copied = changed_.wait_for(lock, kPatience, [&] { return copies_.has_value(); });
        }
        if (copied) {
            backend().synchronize(EventRef(*begun_));
            backend().synchronize(*copies_);
        }
        const std::lock_guard lock(mutex_);
        done_ = true;
        changed_.notify_all();
        return copied;
    }

    void launch(Graph& graph, StreamRef stream) override {
        {
            const std::lock_guard lock(mutex_);
            if (armed_ && !begun_) {
                begun_ = std::make_unique<Event>(backend());
                backend().record(*begun_, stream);
                pass_.emplace(stream);
                changed_.notify_all();
            }
        }
        ForwardingBackend::launch(graph, stream);
    }
    void copy(void* y, const void* x, size_t bytes, CopyKind kind, StreamRef stream) override {
        ForwardingBackend::copy(y, x, bytes, kind, stream);
        const std::lock_guard lock(mutex_);
        if (pass_ && !(stream == *pass_) && kind == CopyKind::host_to_device) {
            copies_.emplace(stream);
            changed_.notify_all();
        }
    }
    void synchronize(StreamRef stream) override { ForwardingBackend::synchronize(stream); }
    void synchronize(EventRef event) override {
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [&] { return !begun_ || done_; });
        }
        ForwardingBackend::synchronize(event);
    }

private:
    static constexpr std::chrono::seconds kPatience{60}; // ends a test that fails
    std::unique_ptr<Backend> owned_;
    std::mutex mutex_; // guards what follows
    std::condition_variable changed_;
    bool armed_ = false, done_ = false;
    std::unique_ptr<Event> begun_; // on the stream of the pass, before it
    std::optional<StreamRef> pass_, copies_;
};

int64_t count(const std::vector<Span>& spans, const std::string& row, const std::string& name) {
    return std::count_if(spans.begin(), spans.end(), [&](const Span& span) {
        return span.row.starts_with(row) && span.name == name;
    });
}

/// On one row things run one after the other; event times have a grain.
bool one_at_a_time(std::vector<Span> spans, double grain_us) {
    std::ranges::sort(spans, {}, &Span::start);
    std::map<std::string, double> free_at;
    for (const Span& span : spans) {
        if (span.start + grain_us < free_at[span.row] || span.stop < span.start)
            return false;
        free_at[span.row] = span.stop;
    }
    return true;
}

/// A device whose events come 5 s and 1/64 ms one after the other.
class SlowBackend final : public ForwardingBackend {
public:
    static constexpr double kStepMs = 5000 + 1.0 / 64;

    explicit SlowBackend(Backend& inner) : ForwardingBackend(inner) {}
    void record(EventRef event, StreamRef stream) override {
        ForwardingBackend::record(event, stream);
        ms_[event.handle()] = kStepMs * ++records_;
    }
    float elapsed_ms(EventRef start, EventRef stop) override {
        return static_cast<float>(ms_.at(stop.handle()) - ms_.at(start.handle()));
    }

private:
    std::map<void*, double> ms_;
    int records_ = 0;
};

} // namespace

TEST_CASE("trace: every photo, batch and pass of an engine is in it once") {
    const std::vector<Span> spans = traced(make_cpu_backend(2), 6);
    CHECK(count(spans, "decoding", "photo") == 6);
    int64_t photos = 0;
    for (const Span& span : spans)
        photos += span.row == "batches of lane 1" ? span.size : 0;
    CHECK(photos == 6);
    CHECK(count(spans, "stream", "graph") >= count(spans, "batches", "batch")); // and warm-up
    CHECK(count(spans, "batches", "batch") >= 3);
    CHECK(one_at_a_time(spans, 50));
}

TEST_CASE("simt: trace: photos cross the bus on another stream than the passes") {
    const std::vector<Span> spans = traced(make_fp16_backend(), 4);
    const auto row_of = [&](const std::string& name, int64_t least_bytes) {
        const auto span = std::ranges::find_if(
            spans, [&](const Span& s) { return s.name == name && s.size >= least_bytes; });
        REQUIRE(span != spans.end());
        return span->row;
    };
    const std::string photos = row_of("copy to device", 60 * 60 * 3);
    const std::string passes = row_of("graph", 0);
    CHECK(photos != passes);
    CHECK(row_of("copy to host", 0) != photos);
    CHECK(row_of("copy to host", 0) != passes);
}

TEST_CASE("simt: trace: the next photos cross the bus while a pass runs") {
    const TemporaryDirectory directory;
    const EngineOptions options = traced_options(directory);
    auto made = std::make_unique<CopiesMeanwhile>(make_fp16_backend());
    CopiesMeanwhile& device = *made;
    {
        Session session(std::move(made), options);
        device.arm();
        auto first = submit(session, 2);
        CHECK(device.wait_for_pass());
        auto second = submit(session, 2);
        CHECK(device.run_copies());
        check_good(std::move(first));
        check_good(std::move(second));
    }
    bool overlap = false;
    const std::vector<Span> spans = read_spans(options.trace);
    for (const Span& pass : spans)
        for (const Span& copy : spans)
            overlap |= pass.name == "graph" && copy.name == "copy to device" &&
                       copy.size >= 60 * 60 * 3 && copy.row != pass.row && copy.start < pass.stop &&
                       pass.start < copy.stop;
    CHECK(overlap);
}

TEST_CASE("trace: a file that cannot be written is refused before anything is loaded") {
    EngineOptions options;
    options.model = golden_root() / "clip" / "patch32-5-bf16";
    options.trace = "/nowhere/trace.json";
    try {
        Session(make_cpu_backend(1), options);
        FAIL("it opened");
    } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::io);
        CHECK(error.what() == std::string("the trace cannot be written to '/nowhere/trace.json'"));
    }
}

TEST_CASE("trace: times on the device keep their grain for hours") {
    const std::unique_ptr<Backend> cpu = make_cpu_backend(1);
    Trace trace;
    TracedBackend backend(std::make_shared<SlowBackend>(*cpu), trace);
    {
        const Stream stream(backend);
        const float x = 0;
        float y = 0;
        for (int i = 0; i < 1500; ++i) { // four hours
            backend.copy(&y, &x, sizeof x, CopyKind::host_to_device, stream);
            backend.synchronize(stream); // none lags hours behind another
        }
        backend.finish();
    }
    std::vector<Trace::Span> spans = trace.spans();
    REQUIRE(spans.size() == 1500);
    std::ranges::sort(spans, {}, &Trace::Span::start_us);
    double worst_us = 0;
    for (size_t i = 0; i < spans.size(); ++i)
        worst_us =
            std::max(worst_us, std::abs(spans[i].start_us - spans[0].start_us -
                                        2e3 * SlowBackend::kStepMs * static_cast<double>(i)));
    CHECK(worst_us < 1);
}

// engine-bench soak: an engine under callers that behave like the world, and what it promised them.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <future>
#include <iostream>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "apps/bench/commands.h"
#include "apps/bench/sample_photo.h"
#include "apps/bench/soak_witness.h"
#include "apps/cli/console.h"
#include "apps/cli/engine_flags.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/json_text.h"
#include "apps/cli/table.h"
#include "engine/backends.h"
#include "engine/batching/arrivals.h"
#include "loader/json.h"

namespace yeoul::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct SoakFlags {
    cli::EngineFlags engine;
    int seconds = 60, callers = 4;
    int64_t seed = 0;
    std::string cupti; // empty: where the loader finds it
    std::string format = "table";
};

/// A vector may differ in its last bits between batch sizes.
constexpr double kLeastCosine = 0.999;

struct PoolPhoto {
    std::vector<uint8_t> bytes;
    bool good = true;
    std::vector<float> embedding; // of a good one
};

std::vector<PoolPhoto> make_pool(Engine& engine, uint64_t seed) {
    const int sizes[][2] = {{48, 64},   {224, 224},  {300, 200}, {480, 640},
                            {768, 512}, {1080, 810}, {60, 900},  {1200, 1600}};
    std::vector<PoolPhoto> pool;
    for (const auto& [height, width] : sizes)
        pool.push_back({sample_jpeg(height, width, seed + pool.size()), true, {}});
    std::vector<Photo> photos;
    for (const PoolPhoto& photo : pool)
        photos.push_back(Photo::bytes(photo.bytes));
    const std::vector<Result> results = engine.embed(std::move(photos));
    for (size_t i = 0; i < pool.size(); ++i) {
        if (results[i].error)
            throw Error(results[i].error->code, "a sample photo: " + results[i].error->message);
        pool[i].embedding = results[i].embedding;
    }
    std::vector<uint8_t> cut = pool.back().bytes;
    cut.resize(cut.size() / 3);
    pool.push_back({std::move(cut), false, {}});
    pool.push_back({{'n', 'o', ' ', 'p', 'h', 'o', 't', 'o'}, false, {}});
    return pool;
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
        ab += double{a[i]} * b[i];
        aa += double{a[i]} * a[i];
        bb += double{b[i]} * b[i];
    }
    return a.size() == b.size() ? ab / std::sqrt(aa * bb) : 0;
}

/// Callers on threads of their own, and what they saw.
class Soak {
public:
    Soak(Engine& engine, const std::vector<PoolPhoto>& pool, uint64_t seed)
        : engine_(engine), pool_(pool), seed_(seed) {}

    void call(int caller, Clock::time_point end) {
        uint64_t draws = 0;
        const auto draw = [&](uint64_t below) {
            return batching::counted_random(seed_, static_cast<uint64_t>(caller), draws++) % below;
        };
        while (Clock::now() < end) {
            // Mostly single photos; one request in eight is an album.
            const size_t count = draw(8) == 0 ? 20 + draw(81) : 1 + draw(3);
            std::vector<size_t> chosen;
            Request request;
            for (size_t i = 0; i < count; ++i) {
                chosen.push_back(draw(20) == 0 ? pool_.size() - 1 - draw(2)
                                               : draw(pool_.size() - 2));
                request.photos.push_back(Photo::bytes(pool_[chosen.back()].bytes));
            }
            request.priority = draw(3) == 0 ? Priority::bulk : Priority::interactive;
            if (draw(10) == 0)
                request.deadline = Clock::now() + std::chrono::milliseconds(draw(200));
            std::stop_source stop;
            request.stop = stop.get_token();
            const bool cancel = draw(15) == 0;
            std::vector<int> seen(count);
            request.on_item = [&](size_t index, const Result&) { ++seen[index]; };
            std::promise<std::vector<Result>> promise;
            const bool with_deadline = request.deadline.has_value();
            engine_.submit(std::move(request), [&](std::vector<Result> results) {
                promise.set_value(std::move(results));
            });
            if (cancel)
                stop.request_stop();
            const std::vector<Result> results = promise.get_future().get();
            check(results, chosen, seen, cancel, with_deadline);
        }
    }

    std::set<std::string> broken() const { return broken_; }
    int64_t requests() const { return requests_; }

private:
    void check(const std::vector<Result>& results, const std::vector<size_t>& chosen,
               const std::vector<int>& seen, bool cancelled, bool with_deadline) {
        std::lock_guard lock(mutex_);
        ++requests_;
        const auto expect = [&](bool good, const std::string& promise) {
            if (!good)
                broken_.insert(promise);
        };
        expect(results.size() == chosen.size(), "a request gets a result per photo");
        for (size_t i = 0; i < results.size(); ++i) {
            const PoolPhoto& photo = pool_[chosen[i]];
            expect(seen[i] == 1, "each photo is answered once");
            if (!results[i].error) {
                expect(photo.good, "a bad photo gets no vector");
                expect(cosine(results[i].embedding, photo.embedding) >= kLeastCosine,
                       "a photo gets its own vector");
                continue;
            }
            switch (results[i].error->code) {
            case ErrorCode::bad_image:
                expect(!photo.good, "a good photo is not called bad");
                break;
            case ErrorCode::cancelled:
                expect(cancelled, "only who cancels is cancelled");
                break;
            case ErrorCode::deadline_exceeded:
                expect(with_deadline, "only an own deadline drops");
                break;
            default:
                expect(false, "no photo fails with " + std::string(name(results[i].error->code)) +
                                  ": " + results[i].error->message);
            }
        }
    }

    Engine& engine_;
    const std::vector<PoolPhoto>& pool_;
    const uint64_t seed_;
    std::mutex mutex_;
    std::set<std::string> broken_;
    int64_t requests_ = 0;
};

/// Of those that the callers cannot see.
std::set<std::string> promises_broken_by(const EngineStats& stats, bool books_changed) {
    std::set<std::string> broken;
    if (stats.device_allocations_since_ready != 0)
        broken.insert("nothing is allocated on the device after start-up");
    if (stats.device_synchronizations_since_ready != 0)
        broken.insert("nothing waits for the whole device after start-up");
    if (books_changed)
        broken.insert("the memory's books are as they were after start-up");
    if (stats.in_flight != 0)
        broken.insert("nothing is left in flight");
    return broken;
}

using Values = std::vector<std::pair<std::string, double>>;

Values values_of(const EngineStats& stats, int64_t requests, double seconds) {
    int64_t rows = 0, computed = 0;
    for (const EngineStats::Bucket& bucket : stats.buckets) {
        rows += bucket.replays * bucket.batch;
        computed += bucket.photos;
    }
    const auto errors = [&](ErrorCode code) { return stats.errors[static_cast<size_t>(code)]; };
    return {
        {"seconds", seconds},
        {"requests", static_cast<double>(requests)},
        {"photos", static_cast<double>(stats.photos)},
        {"photos per second", static_cast<double>(stats.photos) / seconds},
        {"bad", static_cast<double>(errors(ErrorCode::bad_image))},
        {"cancelled", static_cast<double>(errors(ErrorCode::cancelled))},
        {"late", static_cast<double>(errors(ErrorCode::deadline_exceeded))},
        {"mean batch",
         stats.batches ? static_cast<double>(computed) / static_cast<double>(stats.batches) : 0},
        {"padding %",
         rows ? 100 - 100 * static_cast<double>(computed) / static_cast<double>(rows) : 0},
        {"device allocations", static_cast<double>(stats.device_allocations_since_ready)},
    };
}

void print_values(const Values& values, const std::set<std::string>& broken,
                  const std::string& format) {
    if (format == "json") {
        cli::JsonObject object;
        for (const auto& [name, value] : values)
            object.raw(name, cli::fixed(value, 3));
        std::cout << object.raw("broken", cli::json_list(broken, loader::json_quote)).str() << '\n';
        return;
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& [name, value] : values)
        rows.push_back({name, cli::fixed(value, value == std::floor(value) ? 0 : 1)});
    std::cout << cli::table({{"what"}, {"", 0, true}}, rows);
}

int soak(const SoakFlags& flags) {
    cli::Console console(flags.engine.verbosity());
    EngineOptions options = flags.engine.options(console);
    options.log = {}; // warnings of damaged photos are what this asks for
    SoakWitness witness;
    std::string not_counted; // why the driver's calls are not
    if (!flags.cupti.empty())
        witness.count_driver_calls({flags.cupti});
    else if (flags.engine.device != "cpu")
        try {
            witness.count_driver_calls(cupti_names());
        } catch (const Error& error) {
            not_counted = error.what();
        }
    Engine engine = Engine::open(options);
    console.info("model " + cli::describe_model(engine.info()));
    console.info("device " + cli::describe_device(engine.device()));
    const std::vector<PoolPhoto> pool = make_pool(engine, static_cast<uint64_t>(flags.seed));
    const std::string books = engine.memory_snapshot();
    // A second door to the same GPU, made before the calls are counted.
    const auto beside =
        engine.device().kind == "cpu" ? nullptr : make_backend(flags.engine.device, 1);
    if (beside)
        witness.watch_free_bytes([&beside] { return beside->free_bytes(); });
    else if (flags.cupti.empty())
        witness.forget_driver_calls(); // nobody asked for those of a GPU that does not serve
    if (beside && !not_counted.empty())
        console.warning("the driver's calls are not counted: " + not_counted);
    witness.engine_is_ready();

    Soak soak(engine, pool, static_cast<uint64_t>(flags.seed));
    const auto start = Clock::now();
    const auto end = start + std::chrono::seconds(flags.seconds);
    std::vector<std::thread> callers;
    for (int caller = 0; caller < flags.callers; ++caller)
        callers.emplace_back([&, caller] { soak.call(caller, end); });
    witness.watch(start, end);
    for (std::thread& caller : callers)
        caller.join();
    witness.engine_is_idle();

    const EngineStats stats = engine.stats();
    std::set<std::string> broken = promises_broken_by(stats, engine.memory_snapshot() != books);
    broken.merge(soak.broken());
    broken.merge(witness.broken_promises());
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    Values values = values_of(stats, soak.requests(), seconds);
    for (auto& value : witness.values())
        values.push_back(std::move(value));
    print_values(values, broken, flags.format);
    for (const std::string& promise : broken)
        console.error("broken: " + promise);
    return broken.empty() ? cli::kDone : cli::kFailed;
}

} // namespace

cli::Command soak_command() {
    auto flags = std::make_shared<SoakFlags>();
    cli::Command command("soak",
                         "An engine under callers that send albums, damaged photos, deadlines and "
                         "cancellations. Exits with 1 when it breaks a promise: an answer per "
                         "photo, no device allocation, a flat resident size. On a GPU the driver's "
                         "free memory and NVIDIA's CUPTI, where it is found, must say the same.",
                         "engine-bench soak --seconds 600\n"
                         "engine-bench soak --model DIR --device cuda --streams 2 --cupti "
                         "libcupti.so.13");
    flags->engine.add_model(command);
    flags->engine.add_device(command);
    command.number("seconds", "N", "how long (default: 60)", flags->seconds, 1, 10'000'000)
        .number("callers", "N", "threads that send requests (default: 4)", flags->callers, 1, 1000)
        .number("seed", "N", "of what they send (default: 0)", flags->seed, 0, INT64_MAX)
        .text("cupti", "FILE",
              "NVIDIA's CUPTI, which counts what reaches the driver; it must be there when this "
              "is given (default: on a GPU, where the loader finds it)",
              flags->cupti)
        .choice("format", "what is printed (default: table)", flags->format, {"table", "json"});
    flags->engine.add_verbosity(command);
    command.run([flags] { return soak(*flags); });
    return command;
}

} // namespace yeoul::bench

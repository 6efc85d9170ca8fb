// The scheduler's threads round stages that are not there: what a photo is tells them what to do,
// and every vector can be told from every other.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <future>
#include <limits>
#include <set>
#include <thread>

#include "engine/batching/arrivals.h"
#include "engine/batching/scheduler.h"
#include "tests/support/sanitizers.h"

using namespace yeoul;
using namespace yeoul::batching;

namespace {

constexpr int kDim = 2;

enum Fate : uint8_t { computed, bad_image, throws_other, non_finite };

Photo photo(int name, Fate fate = computed) {
    std::vector<uint8_t> bytes(1 + sizeof name);
    bytes[0] = fate;
    std::memcpy(bytes.data() + 1, &name, sizeof name);
    return Photo::bytes(std::move(bytes));
}

/// Checks that it is called as promised; what is broken is told at the end, from one thread.
class FakeStages final : public Stages {
public:
    FakeStages(const PolicyConfig& config, const CostTable& table)
        : config_(config), table_(table), slots_(static_cast<size_t>(config.slots)),
          streams_(static_cast<size_t>(config.streams)) {}

    /// The call, counted from 1 over each of the three, that loses the device; or fails its batch.
    int lose_prepare = 0, lose_launch = 0, lose_wait = 0, fail_launch = 0;
    std::function<void()> in_prepare = [] {};
    std::function<void()> in_wait = [] {};
    std::atomic<int> prepares = 0, launches = 0, waits = 0;

    std::string prepare(const Photo& photo, int slot, Result& result) override {
        Slot& place = slots_[static_cast<size_t>(slot)];
        expect(!place.taken.exchange(true), "a slot is prepared for one photo at a time");
        ++preparing_;
        expect(!config_.shared_cores || in_flight_ == 0, "shared cores do one thing at a time");
        in_prepare();
        result.format = "fake";
        std::memcpy(&place.name, photo.encoded.data() + 1, sizeof place.name);
        place.fate = static_cast<Fate>(photo.encoded[0]);
        --preparing_;
        place.taken = false;
        if (++prepares == lose_prepare)
            throw Error(ErrorCode::device_lost, "lost while a photo was prepared");
        if (place.fate == bad_image)
            throw Error(ErrorCode::bad_image, "bad");
        if (place.fate == throws_other)
            throw std::runtime_error("other");
        return {};
    }

    void launch(int stream, int bucket, std::span<const int> slots) override {
        expect(!config_.shared_cores || preparing_ == 0, "shared cores do one thing at a time");
        expect(!slots.empty() && static_cast<int>(slots.size()) <= table_.batch(bucket),
               "the bucket holds the batch");
        const int call = ++launches;
        if (call == fail_launch)
            throw Error(ErrorCode::out_of_memory, "no room for the graph");
        if (call == lose_launch)
            throw Error(ErrorCode::device_lost, "lost at a launch");
        Stream& lane = streams_[static_cast<size_t>(stream)];
        std::lock_guard lock(lane.mutex);
        expect(lane.batches.size() < (config_.lead_ns > 0 ? 2 : 1), "few batches in flight");
        ++in_flight_;
        Batch batch;
        for (int slot : slots) {
            const Slot& place = slots_[static_cast<size_t>(slot)];
            expect(!place.taken, "a slot is prepared before it is launched");
            batch.embeds.push_back(static_cast<float>(place.name));
            batch.embeds.push_back(1);
            batch.norms.push_back(place.fate == non_finite ? std::numeric_limits<float>::infinity()
                                                           : 1.0f);
        }
        lane.batches.push_back(std::move(batch));
    }

    BatchOutput wait(int stream) override {
        in_wait();
        Stream& lane = streams_[static_cast<size_t>(stream)];
        std::lock_guard lock(lane.mutex);
        expect(!lane.batches.empty(), "waits for what was launched");
        lane.answered = std::move(lane.batches.front());
        lane.batches.pop_front();
        --in_flight_;
        if (++waits == lose_wait)
            throw Error(ErrorCode::device_lost, "lost while a batch ran");
        return {lane.answered.embeds.data(), lane.answered.norms.data(), 1};
    }

    std::set<std::string> broken() {
        std::lock_guard lock(mutex_);
        return broken_;
    }

private:
    struct Slot {
        std::atomic<bool> taken = false;
        int name = 0;
        Fate fate = computed;
    };
    struct Batch {
        std::vector<float> embeds, norms;
    };
    struct Stream {
        std::mutex mutex;
        std::deque<Batch> batches;
        Batch answered;
    };

    void expect(bool good, const char* promise) {
        if (good)
            return;
        std::lock_guard lock(mutex_);
        broken_.insert(promise);
    }

    PolicyConfig config_;
    CostTable table_;
    std::vector<Slot> slots_;
    std::vector<Stream> streams_;
    std::atomic<int> preparing_ = 0, in_flight_ = 0;
    std::mutex mutex_;
    std::set<std::string> broken_;
};

struct Setup {
    PolicyConfig config;
    CostTable table{{{1, 100}, {4, 200}, {8, 300}}};
    Setup() {
        config.decode_workers = 2;
        config.slots = 16;
        config.max_wait_ns = kNever;
    }
    Scheduler::Options options() const { return {config, table, kDim, {}}; }
};

/// Answers of requests, in order of their names; each photo must be answered once.
class Answers {
public:
    explicit Answers(size_t photos) : counts_(photos), results_(photos) {}

    Request request(std::vector<Photo> photos, int first, std::stop_token stop = {}) {
        Request request{.photos = std::move(photos), .stop = stop};
        request.on_item = [this, first](size_t index, const Result&) {
            ++counts_[static_cast<size_t>(first) + index];
        };
        return request;
    }
    Scheduler::OnDone on_done(int first) {
        return [this, first](std::vector<Result> results) {
            for (size_t i = 0; i < results.size(); ++i)
                results_[static_cast<size_t>(first) + i] = std::move(results[i]);
            ++requests_;
        };
    }
    int requests() const { return requests_; }
    bool each_once() const {
        return std::ranges::all_of(counts_, [](const auto& count) { return count == 1; });
    }
    const Result& operator[](int photo) const { return results_[static_cast<size_t>(photo)]; }
    bool is_own(int photo) const {
        const std::vector<float>& embedding = (*this)[photo].embedding;
        return embedding.size() == kDim && embedding[0] == static_cast<float>(photo);
    }

private:
    std::vector<std::atomic<int>> counts_;
    std::vector<Result> results_;
    std::atomic<int> requests_ = 0;
};

std::vector<Result> embed(Scheduler& scheduler, Request request) {
    std::promise<std::vector<Result>> promise;
    scheduler.submit(std::move(request),
                     [&](std::vector<Result> r) { promise.set_value(std::move(r)); });
    return promise.get_future().get();
}

ErrorCode code_of(const Result& result) {
    REQUIRE(result.error.has_value());
    return result.error->code;
}

} // namespace

TEST_CASE("scheduler: every photo of random worlds is answered once, with its own vector") {
    const int worlds = test::kSlowSanitizer ? 150 : 1500;
    int64_t answered = 0, failed = 0, cancelled = 0, late = 0;
    for (int seed = 0; seed < worlds; ++seed) {
        auto draw = [seed, n = uint64_t{0}](uint64_t below) mutable {
            return static_cast<int>(counted_random(static_cast<uint64_t>(seed), 3, n++) % below);
        };
        Setup setup;
        setup.config.decode_workers = 1 + draw(3);
        setup.config.streams = 1 + draw(2);
        setup.config.slots = setup.config.decode_workers + 1 + draw(20);
        setup.config.lead_ns = draw(2) * 1'000'000;
        setup.config.shared_cores = draw(3) == 0;
        FakeStages stages(setup.config, setup.table);
        constexpr int kCallers = 2, kPhotos = 60;
        Answers answers(kCallers * kPhotos);
        std::vector<std::vector<Fate>> fates(kCallers);
        int requests = 0;
        const bool leave_early = draw(3) == 0;
        {
            Scheduler scheduler(stages, setup.options());
            std::vector<std::thread> callers;
            std::vector<std::function<void()>> work;
            for (int caller = 0; caller < kCallers; ++caller) {
                struct Call {
                    int first, count, deadline_us;
                    bool cancel, bulk;
                };
                std::vector<Call> calls;
                for (int first = 0; first < kPhotos;) {
                    const int count = std::min(1 + draw(draw(4) == 0 ? 30 : 4), kPhotos - first);
                    calls.push_back({caller * kPhotos + first, count,
                                     draw(6) == 0 ? draw(3000) : -1, draw(6) == 0, draw(3) == 0});
                    first += count;
                }
                for (int i = 0; i < kPhotos; ++i)
                    fates[static_cast<size_t>(caller)].push_back(
                        static_cast<Fate>(draw(8) == 0 ? 1 + draw(3) : 0));
                requests += static_cast<int>(calls.size());
                work.emplace_back([&, caller, calls] {
                    for (const Call& call : calls) {
                        std::vector<Photo> photos;
                        for (int i = call.first; i < call.first + call.count; ++i)
                            photos.push_back(photo(i, fates[static_cast<size_t>(caller)]
                                                           [static_cast<size_t>(i % kPhotos)]));
                        std::stop_source stop;
                        Request request =
                            answers.request(std::move(photos), call.first, stop.get_token());
                        request.priority = call.bulk ? Priority::bulk : Priority::interactive;
                        if (call.deadline_us >= 0)
                            request.deadline = std::chrono::steady_clock::now() +
                                               std::chrono::microseconds(call.deadline_us);
                        scheduler.submit(std::move(request), answers.on_done(call.first));
                        if (call.cancel)
                            stop.request_stop();
                    }
                });
            }
            for (auto& call : work)
                callers.emplace_back(call);
            for (std::thread& caller : callers)
                caller.join();
            while (!leave_early && answers.requests() < requests)
                std::this_thread::yield();
        }
        CAPTURE(seed);
        REQUIRE(answers.requests() == requests);
        REQUIRE(answers.each_once());
        REQUIRE_MESSAGE(stages.broken().empty(), *stages.broken().begin());
        for (int i = 0; i < kCallers * kPhotos; ++i) {
            const Fate fate =
                fates[static_cast<size_t>(i / kPhotos)][static_cast<size_t>(i % kPhotos)];
            if (!answers[i].error) {
                REQUIRE(answers.is_own(i));
                REQUIRE(fate == computed);
                ++answered;
                continue;
            }
            REQUIRE(answers[i].embedding.empty());
            switch (answers[i].error->code) {
            case ErrorCode::cancelled:
                ++cancelled;
                break;
            case ErrorCode::deadline_exceeded:
                ++late;
                break;
            case ErrorCode::bad_image:
                REQUIRE(fate == bad_image);
                ++failed;
                break;
            case ErrorCode::internal:
                REQUIRE(fate == throws_other);
                ++failed;
                break;
            default:
                REQUIRE(answers[i].error->code == ErrorCode::non_finite);
                REQUIRE(fate == non_finite);
                ++failed;
            }
        }
    }
    // The worlds were worth living in.
    for (int64_t count : {answered, failed, cancelled, late})
        CHECK(count > worlds);
}

TEST_CASE("scheduler: a deadline that is past costs nothing") {
    const Setup setup;
    FakeStages stages(setup.config, setup.table);
    Scheduler scheduler(stages, setup.options());
    using Time = std::chrono::steady_clock::time_point;
    for (const Time deadline : {Time::min(), Time(), std::chrono::steady_clock::now()}) {
        Request request{.photos = {photo(1)}};
        request.deadline = deadline;
        CHECK(code_of(embed(scheduler, request)[0]) == ErrorCode::deadline_exceeded);
    }
    CHECK(stages.prepares == 0);
    Request request{.photos = {photo(7)}};
    request.deadline = Time::max();
    CHECK_FALSE(embed(scheduler, request)[0].error.has_value());
}

TEST_CASE("scheduler: an album beyond the queue is refused whole and told when to come back") {
    Setup setup;
    setup.config.queue_bytes = 100;
    FakeStages stages(setup.config, setup.table);
    std::promise<void> go;
    std::shared_future<void> gone = go.get_future().share();
    stages.in_prepare = [gone] { gone.wait(); };
    Scheduler scheduler(stages, setup.options());
    Answers answers(60);
    std::vector<Photo> photos;
    for (int i = 0; i < 15; ++i) // 75 bytes
        photos.push_back(photo(i));
    scheduler.submit(answers.request(photos, 0), answers.on_done(0));
    for (const Result& result : embed(scheduler, {.photos = photos})) {
        CHECK(code_of(result) == ErrorCode::queue_full);
        CHECK(result.error->retry_after_ms > 0);
    }
    const std::vector<Photo> many(30, photo(0));
    for (const Result& result : embed(scheduler, {.photos = many})) {
        CHECK(code_of(result) == ErrorCode::queue_full);
        CHECK(result.error->retry_after_ms == 0);
    }
    CHECK(scheduler.stats().queued_bytes == 75);
    go.set_value();
    while (answers.requests() == 0)
        std::this_thread::yield();
    for (int i = 0; i < 15; ++i)
        CHECK(answers.is_own(i));
    CHECK(scheduler.stats().errors[static_cast<size_t>(ErrorCode::queue_full)] == 45);
    CHECK(scheduler.stats().queued_bytes == 0);
}

TEST_CASE("scheduler: ten thousand requests at once are all answered") {
    const Setup setup;
    FakeStages stages(setup.config, setup.table);
    const int count = test::kSlowSanitizer ? 2000 : 10000;
    Answers answers(static_cast<size_t>(count));
    {
        Scheduler scheduler(stages, setup.options());
        for (int i = 0; i < count; ++i)
            scheduler.submit(answers.request({photo(i)}, i), answers.on_done(i));
        while (answers.requests() < count)
            std::this_thread::yield();
        const EngineStats stats = scheduler.stats();
        CHECK(stats.photos == count);
        CHECK(stats.in_flight == 0);
        int64_t photos = 0, replays = 0;
        for (const EngineStats::Bucket& bucket : stats.buckets) {
            photos += bucket.photos;
            replays += bucket.replays;
            CHECK(bucket.photos <= bucket.replays * bucket.batch);
        }
        CHECK(photos == count);
        CHECK(replays == stats.batches);
    }
    CHECK(answers.each_once());
    for (int i = 0; i < count; ++i)
        REQUIRE(answers.is_own(i));
}

TEST_CASE("scheduler: a lost device answers every waiter and takes nothing more") {
    for (const int where : {0, 1, 2}) {
        Setup setup;
        setup.config.lead_ns = 1'000'000;
        FakeStages stages(setup.config, setup.table);
        (where == 0 ? stages.lose_prepare : where == 1 ? stages.lose_launch : stages.lose_wait) = 3;
        Answers answers(400);
        Scheduler scheduler(stages, setup.options());
        for (int first = 0; first < 400; first += 20) {
            std::vector<Photo> photos;
            for (int i = first; i < first + 20; ++i)
                photos.push_back(photo(i));
            scheduler.submit(answers.request(photos, first), answers.on_done(first));
        }
        while (answers.requests() < 20)
            std::this_thread::yield();
        CHECK_FALSE(scheduler.ready());
        CHECK(answers.each_once());
        int lost = 0;
        for (int i = 0; i < 400; ++i) {
            if (answers[i].error)
                CHECK(answers[i].error->code == ErrorCode::device_lost);
            else
                CHECK(answers.is_own(i));
            lost += answers[i].error.has_value();
        }
        CHECK(lost > 0);
        CHECK(code_of(embed(scheduler, {.photos = {photo(1)}})[0]) == ErrorCode::device_lost);
        CHECK(stages.broken().empty());
    }
}

TEST_CASE("scheduler: a launch that fails takes its own photos and nobody else's") {
    Setup setup;
    setup.config.lead_ns = 1'000'000;
    FakeStages stages(setup.config, setup.table);
    stages.fail_launch = 2;
    Answers answers(100);
    Scheduler scheduler(stages, setup.options());
    std::vector<Photo> photos;
    for (int i = 0; i < 100; ++i)
        photos.push_back(photo(i));
    scheduler.submit(answers.request(photos, 0), answers.on_done(0));
    while (answers.requests() == 0)
        std::this_thread::yield();
    int failed = 0;
    for (int i = 0; i < 100; ++i) {
        if (answers[i].error)
            CHECK(answers[i].error->code == ErrorCode::out_of_memory);
        else
            CHECK(answers.is_own(i));
        failed += answers[i].error.has_value();
    }
    CHECK(failed >= 1);
    CHECK(failed <= setup.table.largest());
    CHECK(scheduler.ready());
    CHECK_FALSE(embed(scheduler, {.photos = {photo(1)}})[0].error.has_value());
}

TEST_CASE("scheduler: whoever cancels from a callback is obeyed and not locked out") {
    const Setup setup;
    FakeStages stages(setup.config, setup.table);
    Scheduler scheduler(stages, setup.options());
    std::stop_source stop;
    Request request{.photos = std::vector<Photo>(200, photo(1)), .stop = stop.get_token()};
    request.on_item = [&](size_t, const Result&) { stop.request_stop(); };
    const std::vector<Result> results = embed(scheduler, request);
    CHECK(std::ranges::count_if(results, [](const Result& result) {
              return result.error && result.error->code == ErrorCode::cancelled;
          }) > 100);
    // Requested before: nothing is done.
    const int prepared = stages.prepares; // the request above is answered: nobody prepares now
    request.on_item = {};
    for (const Result& result : embed(scheduler, request))
        CHECK(code_of(result) == ErrorCode::cancelled);
    CHECK(stages.prepares == prepared);
}

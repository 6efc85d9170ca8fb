// The scheduler's threads, round stages that are not there.
#include <doctest/doctest.h>

#include <thread>

#include "engine/batching/arrivals.h"
#include "tests/engine/fake_stages.h"
#include "tests/support/sanitizers.h"

using namespace yeoul;
using namespace yeoul::batching;
using namespace yeoul::test;

namespace {
constexpr std::chrono::seconds kLong(10); // for what should take milliseconds
} // namespace

TEST_CASE("scheduler: every photo of random worlds is answered once, with its own vector") {
    const int worlds = kSlowSanitizer ? 150 : 1500;
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

TEST_CASE(
    "scheduler: a deadline passes while every decoding thread is busy, and is answered then") {
    // Often enough that the scheduler's thread is asleep once, without a time to wake.
    for (int round = 0; round < 5; ++round) {
        Setup setup;
        setup.config.decode_workers = 1;
        FakeStages stages(setup.config, setup.table);
        std::promise<void> go;
        stages.in_prepare = [gone = go.get_future().share()] { gone.wait(); };
        Scheduler scheduler(stages, setup.options());
        Answers answers(2);
        scheduler.submit(answers.request({photo(0)}, 0), answers.on_done(0));
        Request request = answers.request({photo(1)}, 1);
        const auto now = std::chrono::steady_clock::now();
        request.deadline = now + std::chrono::milliseconds(20);
        scheduler.submit(std::move(request), answers.on_done(1));
        while (answers.requests() == 0 && std::chrono::steady_clock::now() < now + kLong)
            std::this_thread::yield();
        CHECK(answers.requests() == 1);
        go.set_value();
        while (answers.requests() < 2)
            std::this_thread::yield();
        CHECK(answers.is_own(0));
        CHECK(code_of(answers[1]) == ErrorCode::deadline_exceeded);
    }
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
    const int count = kSlowSanitizer ? 2000 : 10000;
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

TEST_CASE("scheduler: clients that resubmit what was refused do not starve the admitted") {
    Setup setup;
    setup.config.queue_bytes = 10; // two photos
    FakeStages stages(setup.config, setup.table);
    Scheduler scheduler(stages, setup.options());
    std::atomic<int> computed = 0, left = 4;
    std::function<void(int)> send = [&](int name) {
        scheduler.submit({.photos = {photo(name), photo(name)}}, [&, name](std::vector<Result> r) {
            computed += !r[0].error;
            if (computed < 200)
                send(name);
            else
                --left;
        });
    };
    for (int client = 0; client < 4; ++client)
        send(client);
    while (left > 0)
        std::this_thread::yield();
    CHECK(computed >= 200);
}

TEST_CASE("scheduler: the callback of a dropped photo keeps nobody else waiting") {
    const Setup setup;
    FakeStages stages(setup.config, setup.table);
    Scheduler scheduler(stages, setup.options());
    std::promise<void> computed;
    std::promise<bool> seen;
    Request late{.photos = {photo(1)}};
    late.deadline = std::chrono::steady_clock::now() - kLong;
    scheduler.submit(std::move(late), [&](std::vector<Result> results) {
        CHECK(code_of(results[0]) == ErrorCode::deadline_exceeded);
        seen.set_value(computed.get_future().wait_for(kLong) == std::future_status::ready);
    });
    CHECK_FALSE(embed(scheduler, {.photos = {photo(2)}})[0].error);
    computed.set_value();
    CHECK(seen.get_future().get());
}

TEST_CASE("scheduler: a result tells how many photos shared its pass, padding not counted") {
    Setup setup;
    setup.table = CostTable({{8, 300}});
    FakeStages stages(setup.config, setup.table);
    Scheduler scheduler(stages, setup.options());
    double passes = 0;
    for (const Result& result : embed(scheduler, {.photos = std::vector<Photo>(3, photo(1))})) {
        REQUIRE(result.batch >= 1);
        CHECK(result.batch <= 3);
        passes += 1.0 / result.batch;
    }
    CHECK(passes == doctest::Approx(stages.launches));
}

TEST_CASE("scheduler: a request submitted by the last answer of a closing engine is answered") {
    for (int round = 0; round < 200; ++round) {
        const Setup setup;
        FakeStages stages(setup.config, setup.table);
        std::atomic<int> answers = 0;
        {
            Scheduler scheduler(stages, setup.options());
            for (int i = 0; i < 3; ++i)
                scheduler.submit({.photos = {photo(i)}}, [&](std::vector<Result>) {
                    ++answers;
                    scheduler.submit({.photos = {photo(7)}},
                                     [&](std::vector<Result>) { ++answers; });
                });
        }
        REQUIRE(answers == 6);
    }
}

TEST_CASE("scheduler: a callback may want the lock that a submitter holds") {
    const Setup setup;
    FakeStages stages(setup.config, setup.table);
    Scheduler scheduler(stages, setup.options());
    std::mutex callers;
    std::atomic<int> answers = 0;
    for (int i = 0; i < 300; ++i) {
        std::stop_source stop;
        Request request{.photos = {photo(i, bad_image), photo(i)}, .stop = stop.get_token()};
        request.on_item = [&](size_t, const Result&) { std::lock_guard lock(callers); };
        std::lock_guard lock(callers);
        scheduler.submit(std::move(request), [&](std::vector<Result>) { ++answers; });
    }
    while (answers < 300)
        std::this_thread::yield();
}

TEST_CASE("scheduler: what a producer that dies has submitted is answered, and harms nobody") {
    const Setup setup;
    FakeStages stages(setup.config, setup.table);
    std::atomic<int> answered = 0;
    {
        Scheduler scheduler(stages, setup.options());
        for (int i = 0; i < 50; ++i) {
            std::thread producer([&scheduler, &answered, i] {
                // Its stop source, and the future that somebody would have waited for, die with it.
                std::stop_source stop;
                auto promise = std::make_shared<std::promise<std::vector<Result>>>();
                const std::future<std::vector<Result>> dropped = promise->get_future();
                scheduler.submit(
                    {.photos = {photo(i), photo(i, bad_image)}, .stop = stop.get_token()},
                    [promise, &answered](std::vector<Result> results) {
                        promise->set_value(std::move(results));
                        ++answered;
                    });
            });
            producer.join();
        }
        CHECK_FALSE(embed(scheduler, {.photos = {photo(7)}})[0].error.has_value());
    }
    CHECK(answered == 50);
    CHECK(stages.broken().empty());
}

// Host memory that runs out, at each allocation in turn: a request is answered, or it is told so.
#include <doctest/doctest.h>

#include <fstream>
#include <functional>
#include <future>
#include <limits>

#include "engine/batching/policy.h"
#include "engine/session.h"
#include "tests/engine/golden.h"
#include "tests/support/failing_new.h"
#include "tests/support/sanitizers.h"
#include "tests/support/temporary_directory.h"

using namespace yeoul;
using namespace yeoul::batching;
using namespace yeoul::test;

namespace {

constexpr int64_t kMillisecond = 1'000'000;

Policy make_policy() {
    PolicyConfig config;
    config.decode_workers = 2;
    config.streams = 2;
    config.lead_ns = kMillisecond / 10;
    config.max_wait_ns = kNever;
    return {config, CostTable({{1, 4000}, {4, 5000}, {16, 12000}})};
}

/// What a policy shows of its books.
std::vector<int64_t> books(const Policy& policy, int64_t now) {
    return {policy.waiting(), policy.ready(), policy.unfinished(),
            static_cast<int64_t>(policy.queued_bytes()),
            policy.estimated_wait_ns(now, Priority::bulk)};
}

struct Served {
    int decoded = 0, computed = 0, answered = 0;
};

/// Carries out what the policy decides until nothing is left; takes no memory itself.
Served serve(Policy& policy, int64_t now) {
    Served served;
    while (policy.unfinished() > 0) {
        const Decision decision = policy.next(now);
        now += kMillisecond;
        if (decision.kind == Decision::start_decode) {
            policy.decoded(now, decision.item.id, true);
            ++served.decoded;
        } else if (decision.kind == Decision::launch) {
            served.computed += static_cast<int>(decision.batch.size());
            policy.batch_done(now, decision.stream);
        } else if (decision.kind == Decision::answer) {
            ++served.answered;
        }
    }
    while (policy.next(now).kind == Decision::answer)
        ++served.answered;
    return served;
}

std::vector<uint8_t> jpeg() {
    std::ifstream in(golden_root() / "images" / "exif_1.upright.jpg", std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<Photo> photos() {
    std::vector<Photo> photos = {Photo::rgb(std::vector<uint8_t>(3 * 60 * 80, 7), 60, 80),
                                 Photo::bytes(jpeg()), Photo::bytes(jpeg())};
    return photos;
}

} // namespace

TEST_CASE("policy: an album that there is no memory for leaves no trace") {
    Policy policy = make_policy();
    const std::vector<ItemRequest> few(3, {1, 1000, 5 * kMillisecond}),
        many(200, {2, 1000, 5 * kMillisecond});
    REQUIRE(policy.admit(0, {Priority::interactive, 900 * kMillisecond, few}).accepted);
    const std::vector<int64_t> before = books(policy, 0);
    int refusals = 0;
    for (bool accepted = false; !accepted;) {
        try {
            const FailingNew fault(refusals + 1, FailingNew::this_one);
            accepted = policy.admit(0, {Priority::bulk, 900'000 * kMillisecond, many}).accepted;
        } catch (const std::bad_alloc&) {
            ++refusals;
            REQUIRE(books(policy, 0) == before);
        }
    }
    CHECK(refusals >= 3); // keys, items and their names at least
    CHECK(policy.unfinished() == 203);
    const Served served = serve(policy, kMillisecond);
    CHECK(served.decoded == 203);
    CHECK(served.computed == 203);
    CHECK(policy.queued_bytes() == 0);
}

TEST_CASE("policy: what was admitted needs no more memory") {
    Policy policy = make_policy();
    const std::vector<ItemRequest> items(100, {1, 1000, 5 * kMillisecond});
    // Some finish, some are too late, some are given up, and clocks change in between.
    const Admission first = policy.admit(0, {Priority::interactive, 1000 * kMillisecond, items});
    REQUIRE(first.accepted);
    const std::vector<ItemId> ids(first.ids.begin(), first.ids.end());
    REQUIRE(policy.admit(0, {Priority::bulk, 50 * kMillisecond, items}).accepted);
    REQUIRE(policy.admit(0, {Priority::interactive, kNever, items}).accepted);
    Served served;
    bool failed = true;
    {
        const FailingNew fault(1, FailingNew::this_one, FailingNew::kAlways);
        const Decision decision = policy.next(0);
        policy.decoded(kMillisecond, decision.item.id, decision.kind == Decision::start_decode);
        for (size_t i = 40; i < 60; ++i)
            policy.cancel(0, ids[i]);
        policy.rescale(1.5);
        served = serve(policy, kMillisecond);
        failed = fault.failed();
    }
    CHECK_FALSE(failed);
    CHECK(served.answered >= 20);
    CHECK(served.computed >= 100);
    REQUIRE(policy.admit(0, {Priority::interactive, kNever, items}).accepted);
    {
        const FailingNew fault(1, FailingNew::this_one, FailingNew::kAlways);
        policy.abort(0);
        while (policy.next(0).kind == Decision::answer)
            continue;
        failed = fault.failed();
    }
    CHECK_FALSE(failed);
    CHECK(policy.unfinished() == 0);
}

TEST_CASE("session: host memory that runs out beside photos is an Error, and nothing changes") {
    EngineOptions options;
    options.model = golden_root() / "clip_text" / "quick-gelu-77";
    options.batch_size = 2;
    options.threads = 2;
    options.text = true;
    Session session(make_cpu_backend(2), options);
    session.set_labels({.names = {"cat", "dog"}});
    const std::vector<std::vector<float>> vectors(
        1100, std::vector<float>(static_cast<size_t>(session.info().dim), 1.0F));
    const Labels labels{.names = {"red", "green"}};
    const std::vector<std::vector<float>> one = {vectors.front()};
    const std::function<void()> calls[] = {
        [&] { session.set_labels(labels); }, [&] { session.embed_text(labels.names); },
        [&] { session.tag(one, 2); }, [&] { session.duplicates(vectors, 0.9); }};
    for (const auto& call : calls) {
        int refused = 0;
        bool met = true;
        for (int64_t nth = 1; met; nth += kSanitized ? 41 : 7) {
            CAPTURE(nth);
            try {
                const FailingNew fault(nth, FailingNew::this_one);
                met = false;
                call();
                met = fault.failed();
            } catch (const Error& error) {
                CHECK(error.code() == ErrorCode::out_of_memory);
                ++refused;
                met = true;
            }
        }
        CHECK(refused > 0);
        CHECK(session.ready());
        CHECK(session.tag(one, 2).front().size() == 2);
    }
}

TEST_CASE("session: host memory that runs out takes photos of that moment, and never an answer") {
    EngineOptions options;
    options.model = golden_root() / "clip" / "patch32-5-bf16";
    options.batch_size = 2;
    options.threads = 2;
    Session session(make_cpu_backend(2), options);
    struct Outcome {
        int answered = 0, refused = 0;
        bool failed = false;
    };
    std::vector<std::vector<float>> expected;
    const auto ask = [&](int64_t nth, FailingNew::Threads threads, bool onwards) {
        Outcome outcome;
        std::promise<std::vector<Result>> promise;
        std::future<std::vector<Result>> future = promise.get_future();
        Request request{.photos = photos()};
        const Scheduler::OnDone on_done = [&](std::vector<Result> results) {
            promise.set_value(std::move(results));
        };
        std::vector<Result> results;
        try {
            const FailingNew fault(nth, threads, onwards ? FailingNew::kAlways : 1);
            session.submit(std::move(request), on_done);
            future.wait();
            outcome.failed = fault.failed();
        } catch (const Error& error) {
            CHECK(error.code() == ErrorCode::out_of_memory);
            outcome.failed = true;
            outcome.refused = 3;
            return outcome;
        } catch (const std::bad_alloc&) { // none for the error either
            REQUIRE(onwards);
            return Outcome{0, 3, true};
        }
        results = future.get();
        REQUIRE(results.size() == 3);
        for (size_t i = 0; i < results.size(); ++i) {
            const auto& error = results[i].error;
            CHECK((error ? error->code == ErrorCode::out_of_memory
                         : expected.empty() || results[i].embedding == expected[i]));
            ++(error ? outcome.refused : outcome.answered);
        }
        if (expected.empty())
            for (const Result& result : results)
                expected.push_back(result.embedding);
        return outcome;
    };
    constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
    REQUIRE(ask(kNone, FailingNew::others, false).answered == 3);
    // Each one takes half a minute, and passes; under a sanitizer a request takes longer.
    const int64_t step = kSanitized ? 61 : 17;
    for (const auto threads : {FailingNew::this_one, FailingNew::others})
        for (const bool onwards : {false, true}) {
            CAPTURE(threads);
            CAPTURE(onwards);
            int refused = 0;
            for (int64_t nth = 1;; nth += step) {
                CAPTURE(nth);
                const Outcome outcome = ask(nth, threads, onwards);
                refused += outcome.refused;
                if (!outcome.failed)
                    break;
                REQUIRE(ask(kNone, FailingNew::others, false).answered == 3);
            }
            CHECK(refused > 0);
        }
}

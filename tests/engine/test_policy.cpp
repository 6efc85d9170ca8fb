#include <doctest/doctest.h>

#include <chrono>
#include <limits>

#include "engine/batching/goodput.h"
#include "engine/batching/policy.h"

using namespace yeoul;
using namespace yeoul::batching;

namespace {

constexpr int64_t kMs = 1'000'000;

// 1 photo 4 ms, 4 photos 5 ms, 16 photos 12 ms.
CostTable table() {
    return CostTable({{1, 4000}, {4, 5000}, {16, 12000}});
}

Admission admit(Policy& policy, int64_t now, int photos, int64_t deadline = kNever,
                int64_t decode_ns = 0, Priority priority = Priority::interactive,
                size_t bytes = 1000) {
    const std::vector<ItemRequest> items(static_cast<size_t>(photos), {7, bytes, decode_ns});
    return policy.admit(now, {priority, deadline, items});
}

int answers(Policy& policy, int64_t now, ErrorCode code) {
    int count = 0;
    Decision decision = policy.next(now);
    for (; decision.kind == Decision::answer && decision.code == code; ++count)
        decision = policy.next(now);
    CHECK(decision.kind == Decision::wait);
    return count;
}

Choice choose(const std::vector<Ready>& queue, double arrivals_per_ms = 0) {
    return choose_batch(table(), queue, 0, {50 * kMs, arrivals_per_ms / kMs});
}

} // namespace

TEST_CASE("batch choice: takes the best rate that is in time") {
    CHECK(choose(std::vector<Ready>(3, {50 * kMs, kNever})).bucket == 1);
    CHECK(choose(std::vector<Ready>(20, {50 * kMs, kNever})).photos == 16);
    CHECK(choose(std::vector<Ready>(1, {4 * kMs, 4 * kMs})).bucket == 0);
    // 5 photos: 4 in 5 ms beat padding to 16, and the fifth can follow.
    CHECK(choose(std::vector<Ready>(5, {50 * kMs, kNever})).photos == 4);
}

TEST_CASE("batch choice: leaves behind a photo that would hold up many") {
    std::vector<Ready> queue(20, {14 * kMs, 14 * kMs});
    queue[0] = {4 * kMs, 4 * kMs}; // alone in time only in a batch of one, while 19 wait
    const Choice choice = choose(queue);
    CHECK(choice.bucket == 2);
    CHECK(choice.photos == 16);
    CHECK(choice.scanned == 17);
}

TEST_CASE("batch choice: a late photo without a deadline goes along") {
    std::vector<Ready> queue(20, {14 * kMs, kNever});
    queue[0] = {4 * kMs, kNever};
    const Choice choice = choose(queue);
    CHECK(choice.photos == 16);
    CHECK(choice.scanned == 16);
}

TEST_CASE("batch choice: leaves time for what arrives meanwhile, unless it is late already") {
    // As on a CPU: a batch gains a few percent. Two of four photos take longer than the target.
    const CostTable cpu({{1, 10'500}, {4, 40'000}});
    const Outlook outlook{70 * kMs, 0.06 / kMs};
    const auto photos = [&](int64_t steer_ns) {
        return choose_batch(cpu, std::vector<Ready>(20, {steer_ns, kNever}), 0, outlook).photos;
    };
    CHECK(photos(200 * kMs) == 1);
    CHECK(photos(kNever) == 4);
}

TEST_CASE("batch choice: sacrifices nobody for nothing") {
    // Ten photos with time enough behind one that is urgent: both batches can be in time.
    std::vector<Ready> queue(11, {60 * kMs, 60 * kMs});
    queue[0] = {5 * kMs, 5 * kMs};
    const Choice choice = choose(queue);
    CHECK(choice.scanned == choice.photos);
    CHECK(choice.bucket == 1);
}

TEST_CASE("policy: the target defaults to the larger of 50 ms and four times one photo") {
    CHECK(Policy({}, table()).config().latency_target_ns == 50 * kMs);
    CHECK(Policy({}, CostTable({{1, 20000}})).config().latency_target_ns == 80 * kMs);
}

TEST_CASE("policy: decodes by deadline, then computes what is ready") {
    Policy policy({}, table());
    const ItemId late = admit(policy, 0, 1, kNever, kMs).ids[0];
    const ItemId soon = admit(policy, 1, 1, 20 * kMs, kMs).ids[0];
    Decision decision = policy.next(1);
    REQUIRE(decision.kind == Decision::start_decode);
    CHECK(decision.item.id == soon);
    CHECK(policy.next(1).kind == Decision::wait); // one worker
    CHECK(policy.decoded(kMs, soon, true));
    decision = policy.next(kMs);
    REQUIRE(decision.kind == Decision::launch);
    CHECK(decision.batch[0].id == soon);
    CHECK(decision.batch[0].tag == 7);
    CHECK(decision.until_ns == 5 * kMs);
    CHECK(policy.next(kMs).item.id == late);
    policy.batch_done(5 * kMs, decision.stream);
    CHECK(policy.unfinished() == 1);
}

TEST_CASE("policy: gives up before decoding what is known to be late, and only with a deadline") {
    Policy policy({}, table());
    for (int64_t deadline :
         {int64_t{-5}, int64_t{0}, std::numeric_limits<int64_t>::min(), kMs, 6 * kMs - 1}) {
        REQUIRE(admit(policy, 0, 2, deadline, 2 * kMs).accepted);
        CHECK(answers(policy, 0, ErrorCode::deadline_exceeded) == 2);
    }
    CHECK(policy.unfinished() == 0);
    CHECK(policy.queued_bytes() == 0);
    for (int64_t deadline : {6 * kMs, kNever - 1, kNever}) {
        const ItemId id = admit(policy, 0, 1, deadline, 2 * kMs).ids[0];
        CHECK(policy.next(0).kind == Decision::start_decode);
        CHECK(policy.decoded(0, id, false)); // no worker is left otherwise
    }
}

TEST_CASE("policy: wakes when a deadline gets out of reach") {
    Policy policy({}, table());
    admit(policy, 0, 1, kNever, kMs);
    REQUIRE(policy.next(0).kind == Decision::start_decode); // and never ends
    admit(policy, 0, 1, 100 * kMs, kMs);
    const Decision decision = policy.next(0);
    REQUIRE(decision.kind == Decision::wait);
    CHECK(decision.until_ns == 95 * kMs + 1);
    CHECK(policy.next(95 * kMs).kind == Decision::wait);
    CHECK(answers(policy, 95 * kMs + 1, ErrorCode::deadline_exceeded) == 1);
}

TEST_CASE("policy: --drop-late turns the target into a deadline of interactive photos") {
    Policy policy({.drop_late = true}, table());
    admit(policy, 0, 1, kNever, 60 * kMs);
    CHECK(answers(policy, 0, ErrorCode::deadline_exceeded) == 1);
    admit(policy, 0, 1, kNever, 60 * kMs, Priority::bulk);
    CHECK(policy.next(0).kind == Decision::start_decode);
}

TEST_CASE("policy: what is cancelled costs nothing more") {
    Policy policy({}, table());
    const Admission album = admit(policy, 0, 3, kNever, kMs);
    const std::vector<ItemId> ids(album.ids.begin(), album.ids.end());
    REQUIRE(policy.next(0).item.id == ids[0]);
    CHECK(policy.cancel(0, ids[1]) == Cancelled::answered);
    CHECK(policy.cancel(0, ids[1]) == Cancelled::unknown);
    CHECK(answers(policy, 0, ErrorCode::cancelled) == 1);
    CHECK(policy.cancel(0, ids[0]) == Cancelled::decoding);
    CHECK_FALSE(policy.decoded(kMs, ids[0], true)); // decoded, and not computed
    Decision decision = policy.next(kMs);
    CHECK(decision.kind == Decision::answer);
    CHECK(decision.item.id == ids[0]);
    REQUIRE(policy.next(kMs).item.id == ids[2]);
    policy.decoded(2 * kMs, ids[2], true);
    REQUIRE(policy.next(2 * kMs).kind == Decision::launch);
    CHECK(policy.cancel(2 * kMs, ids[2]) == Cancelled::running);
    policy.batch_done(6 * kMs, 0);
    CHECK(policy.cancel(6 * kMs, ids[2]) == Cancelled::unknown);
    CHECK(policy.cancel(0, 12345678901234) == Cancelled::unknown);
    CHECK(policy.unfinished() == 0);
}

TEST_CASE("policy: an album over the byte limit is refused whole, with a time to retry") {
    Policy policy({.queue_bytes = 10'000}, table());
    REQUIRE(admit(policy, 0, 8, kNever, kMs).accepted);
    const Admission refused = admit(policy, 0, 4, kNever, kMs);
    CHECK_FALSE(refused.accepted);
    CHECK(refused.ids.empty());
    // 2 of the 8 photos must go; they decode one after the other, 1 ms each.
    CHECK(refused.retry_after_ns == 2 * kMs);
    CHECK(policy.unfinished() == 8);
    CHECK(admit(policy, 0, 2, kNever, kMs).accepted);
    CHECK(admit(policy, 0, 11, kNever, kMs).retry_after_ns == kNever); // at no time
}

TEST_CASE("policy: an album that would wait too long is refused; interactive passes bulk") {
    Policy policy({.decode_workers = 2, .max_wait_ns = 50 * kMs}, table());
    REQUIRE(admit(policy, 0, 120, kNever, kMs, Priority::bulk).accepted);
    const Admission refused = admit(policy, 0, 1, kNever, kMs, Priority::bulk);
    CHECK_FALSE(refused.accepted);
    CHECK(refused.retry_after_ns > 0);
    CHECK(policy.estimated_wait_ns(0, Priority::interactive) == 0);
    CHECK(admit(policy, 0, 1, kNever, kMs).accepted);
}

TEST_CASE("policy: bulk waits no longer than its bound while interactive floods") {
    PolicyConfig config;
    config.bulk_wait_ns = 300 * kMs;
    Policy policy(config, table());
    const double per_ms = 1.3 * table().best_per_second() / 1000; // more than the device can do
    constexpr int64_t kArrival = 20 * kMs;
    ItemId id = ~ItemId{0};
    int64_t done_at = kNever, launched = kNever, bound = kNever;
    int sent = 0;
    for (int64_t now = 0; now < 3000 * kMs && launched == kNever; now += kMs / 2) {
        if (now >= done_at) {
            policy.batch_done(now, 0);
            done_at = kNever;
        }
        for (; sent < static_cast<int>(per_ms * static_cast<double>(now) / kMs); ++sent)
            admit(policy, now, 1);
        if (now == kArrival)
            id = admit(policy, now, 1, kNever, 0, Priority::bulk).ids[0];
        // Then at the latest it is its turn: after what is queued, and two batches' rounding.
        if (now == kArrival + config.bulk_wait_ns)
            bound = now + policy.estimated_wait_ns(now, Priority::bulk) + 24 * kMs;
        const Decision decision = policy.next(now);
        if (decision.kind != Decision::launch)
            continue;
        done_at = decision.until_ns;
        for (const Decision::Item& item : decision.batch)
            if (item.id == id)
                launched = now;
    }
    CHECK(launched > 100 * kMs); // the flood did pass it
    CHECK(launched <= bound);
}

TEST_CASE("policy: ten thousand photos at once are all answered") {
    Policy policy({.decode_workers = 4, .max_wait_ns = kNever}, table());
    REQUIRE(admit(policy, 0, 10'000, kNever, kMs).accepted);
    int64_t now = 0, done = 0;
    std::vector<std::pair<int64_t, ItemId>> decoding;
    int64_t batch_until = kNever;
    while (policy.unfinished() > 0) {
        for (Decision d = policy.next(now); d.kind != Decision::wait; d = policy.next(now))
            if (d.kind == Decision::launch) {
                batch_until = d.until_ns;
                done += static_cast<int64_t>(d.batch.size());
            } else {
                REQUIRE(d.kind == Decision::start_decode);
                decoding.emplace_back(now + kMs, d.item.id);
            }
        now = batch_until;
        for (const auto& [until, id] : decoding)
            now = std::min(now, until);
        if (now == batch_until) {
            policy.batch_done(now, 0);
            batch_until = kNever;
        }
        std::erase_if(decoding, [&](const auto& one) {
            return one.first == now && policy.decoded(now, one.second, true);
        });
    }
    CHECK(done == 10'000);
    CHECK(now < 8000 * kMs); // 16 in 12 ms
}

TEST_CASE("policy: close refuses the new and serves the old; abort cancels what is queued") {
    Policy policy({}, table());
    admit(policy, 0, 3, kNever, kMs);
    const ItemId id = policy.next(0).item.id;
    policy.close();
    CHECK(admit(policy, 0, 1).retry_after_ns == kNever);
    CHECK(answers(policy, 0, ErrorCode::cancelled) == 0);
    policy.abort(0);
    CHECK(answers(policy, 0, ErrorCode::cancelled) == 2);
    CHECK_FALSE(policy.decoded(kMs, id, true));
    CHECK(answers(policy, kMs, ErrorCode::cancelled) == 1);
    CHECK(policy.unfinished() == 0);
}

TEST_CASE("policy: learns that the device is slower than its table") {
    Policy policy({}, table());
    int64_t now = 0;
    for (int i = 0; i < 500; ++i) {
        admit(policy, now, 1);
        const Decision decision = policy.next(now);
        REQUIRE(decision.kind == Decision::launch);
        now += 6 * kMs; // not 4
        policy.batch_done(now, 0);
    }
    CHECK(policy.table().ns(0) > 5'600'000);
    CHECK(policy.table().ns(0) < 6'400'000);
}

TEST_CASE("policy: misuse and senseless settings are named") {
    CHECK_THROWS_AS(Policy({.decode_workers = 0}, table()), Error);
    CHECK_THROWS_AS(Policy({.streams = 0}, table()), Error);
    CHECK_THROWS_AS(Policy({.latency_target_ns = -1}, table()), Error);
    CHECK_THROWS_AS(Policy({.decode_workers = 4, .slots = 4}, table()), Error);
    Policy policy({}, table());
    CHECK_THROWS_AS(policy.decoded(0, 5, true), Error);
    CHECK_THROWS_AS(policy.batch_done(0, 0), Error);
    CHECK_THROWS_AS(policy.batch_done(0, 1), Error);
}

TEST_CASE("policy: costs the host few microseconds per photo and batch") {
    // 20 us per batch and 2 us per photo are asked of a release build; sanitizers are slower.
    const CostTable t4(pareto(named_curve("t4-b32")));
    Policy policy({.max_wait_ns = kNever}, t4);
    const auto start = std::chrono::steady_clock::now();
    int64_t now = 0, photos = 0, batches = 0;
    while (photos < 200'000) {
        for (int i = 0; i < 30; ++i)
            admit(policy, now, 1, now + 70 * kMs);
        Decision decision = policy.next(now);
        for (; decision.kind == Decision::answer; decision = policy.next(now))
            ++photos;
        REQUIRE(decision.kind == Decision::launch);
        photos += static_cast<int64_t>(decision.batch.size());
        now = decision.until_ns;
        policy.batch_done(now, 0);
        ++batches;
    }
    const std::chrono::duration<double, std::micro> us = std::chrono::steady_clock::now() - start;
    const double asked = 2.0 * static_cast<double>(photos) + 20.0 * static_cast<double>(batches);
    const double per_photo = us.count() / static_cast<double>(photos);
    MESSAGE(per_photo << " us per photo, all in all");
    CHECK(us.count() < 10 * asked); // an order for slow machines and sanitizers
}

TEST_CASE("policy: a wrong estimate does not refuse for ever") {
    PolicyConfig config;
    config.decode_workers = 1;
    config.latency_target_ns = 50'000'000;
    Policy policy(config, CostTable({{1, 10'000}, {8, 40'000}}));
    int64_t now = 0;
    const auto serve = [&](int64_t takes, int64_t deadline) {
        const ItemRequest item{.decode_ns = 5'000'000};
        AlbumRequest album{.items = {&item, 1}};
        album.deadline_ns = deadline;
        policy.admit(now, album);
        for (;;) {
            const Decision decision = policy.next(now);
            if (decision.kind == Decision::answer)
                return false;
            if (decision.kind == Decision::start_decode)
                policy.decoded(now += takes, decision.item.id, true);
            if (decision.kind == Decision::launch) {
                policy.batch_done(now += 10'000'000, decision.stream);
                return true;
            }
        }
    };
    for (int i = 0; i < 70; ++i) // a disk that stalls
        CHECK(serve(500'000'000, kNever));
    int refused = 0;
    while (!serve(5'000'000, now + 40'000'000))
        REQUIRE(++refused < 100);
    CHECK(refused > 0); // it was believed at first
}

TEST_CASE("policy: icons, whose estimates are far off, do not make photos look slow") {
    Policy policy({.decode_workers = 1, .max_wait_ns = kNever}, table());
    int64_t now = 0;
    for (int i = 0; i < 300; ++i) { // each takes five times what was expected
        admit(policy, now, 1, kNever, kMs / 3);
        const Decision decision = policy.next(now);
        REQUIRE(decision.kind == Decision::start_decode);
        policy.decoded(now += 5 * kMs / 3, decision.item.id, true);
        REQUIRE(policy.next(now).kind == Decision::launch);
        policy.batch_done(now += 4 * kMs, 0);
    }
    admit(policy, now, 1, now + 300 * kMs, 60 * kMs);
    CHECK(policy.next(now).kind == Decision::start_decode);
    // Photos of the usual size do: a slow disk is believed after some dozens.
    Policy slow({.decode_workers = 1, .max_wait_ns = kNever}, table());
    for (int i = 0; i < 60; ++i) {
        admit(slow, now, 1, kNever, 5 * kMs);
        slow.decoded(now + 50 * kMs, slow.next(now).item.id, true);
        REQUIRE(slow.next(now += 50 * kMs).kind == Decision::launch);
        slow.batch_done(now += 4 * kMs, 0);
    }
    admit(slow, now, 1, now + 30 * kMs, 5 * kMs);
    CHECK(slow.next(now).kind == Decision::answer);
}

TEST_CASE("policy: the estimated wait counts bulk that is due, and both turns of shared cores") {
    PolicyConfig config{.decode_workers = 2,
                        .latency_target_ns = 50 * kMs,
                        .bulk_wait_ns = 1000 * kMs,
                        .max_wait_ns = kNever};
    Policy policy(config, table());
    admit(policy, 0, 100, kNever, 10 * kMs, Priority::bulk);
    CHECK(policy.estimated_wait_ns(940 * kMs, Priority::interactive) == 0);
    CHECK(policy.estimated_wait_ns(950 * kMs, Priority::interactive) == 500 * kMs);

    config.shared_cores = true;
    Policy turns(config, table());
    admit(turns, 0, 160, kNever, 10 * kMs);
    CHECK(turns.estimated_wait_ns(0, Priority::interactive) == (800 + 10 * 12) * kMs);
}

TEST_CASE("policy: shared cores do not wait for a decode that hangs") {
    PolicyConfig config;
    config.decode_workers = 2;
    config.latency_target_ns = 50'000'000;
    config.shared_cores = true;
    Policy policy(config, CostTable({{1, 1'000}, {8, 4'000}}));
    const ItemRequest items[2] = {{.decode_ns = 1'000'000}, {.decode_ns = 1'000'000}};
    policy.admit(0, {.items = items});
    const Decision first = policy.next(0);
    const ItemId good = first.item.id;
    REQUIRE(policy.next(0).kind == Decision::start_decode); // and never heard of again
    policy.decoded(1'000'000, good, true);
    const Decision wait = policy.next(1'000'000);
    REQUIRE(wait.kind == Decision::wait);
    CHECK(wait.until_ns == 50'000'000);
    const Decision launch = policy.next(wait.until_ns);
    REQUIRE(launch.kind == Decision::launch);
    CHECK(launch.batch[0].id == good);
}

TEST_CASE("policy: a stream gets its next batch shortly before the one on it should end") {
    PolicyConfig config;
    config.decode_workers = 1;
    config.lead_ns = 300'000;
    Policy policy(config, CostTable({{1, 10'000}, {2, 12'000}}));
    const ItemRequest items[4] = {};
    policy.admit(0, {.items = items});
    REQUIRE(policy.next(0).kind == Decision::launch);
    const Decision wait = policy.next(0);
    REQUIRE(wait.kind == Decision::wait);
    CHECK(wait.until_ns == 12'000'000 - 300'000);
    CHECK(policy.next(wait.until_ns - 1).kind == Decision::wait);
    CHECK(policy.next(wait.until_ns).kind == Decision::launch);
    CHECK(policy.next(wait.until_ns).kind == Decision::wait); // two, and no third
    policy.batch_done(12'000'000, 0);
    policy.batch_done(24'000'000, 0);
    CHECK(policy.unfinished() == 0);
}

TEST_CASE("policy: a full batch waits for its last photo, or until the first is due") {
    Policy policy({.latency_target_ns = 30 * kMs, .full_batches = true}, table());
    admit(policy, 0, 15);
    Decision decision = policy.next(0);
    REQUIRE(decision.kind == Decision::wait);
    CHECK(decision.until_ns == 30 * kMs);
    admit(policy, kMs, 2);
    decision = policy.next(kMs);
    REQUIRE(decision.kind == Decision::launch);
    CHECK(decision.bucket == 2);
    CHECK(decision.batch.size() == 16);
    policy.batch_done(13 * kMs, 0);
    CHECK(policy.next(30 * kMs).kind == Decision::wait); // the other came at 1 ms
    decision = policy.next(31 * kMs);
    REQUIRE(decision.kind == Decision::launch);
    CHECK(decision.bucket == 2); // one graph: the rest is padding
    CHECK(decision.batch.size() == 1);
}

TEST_CASE("policy: on shared cores every stream gets what is ready once it is the device's turn") {
    Policy policy({.decode_workers = 2, .streams = 2, .shared_cores = true},
                  CostTable(std::vector<BatchCost>{{1, 4000}}));
    admit(policy, 0, 10, kNever, kMs);
    int64_t now = 0;
    Decision decision = policy.next(now);
    for (std::vector<ItemId> decoding; decision.kind != Decision::launch; ++now) {
        for (; decision.kind == Decision::start_decode; decision = policy.next(now))
            decoding.push_back(decision.item.id);
        if (decision.kind == Decision::launch)
            break;
        REQUIRE_FALSE(decoding.empty());
        policy.decoded(now, decoding.back(), true);
        decoding.pop_back();
        decision = policy.next(now);
    }
    const int first = decision.stream;
    decision = policy.next(now);
    REQUIRE(decision.kind == Decision::launch); // photos that wait for a decode hold nobody up
    CHECK(decision.stream != first);
    CHECK(policy.next(now).kind == Decision::wait);
}

// What only the CPU backend's own parts can show: tasks that block or throw on purpose.
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <sched.h>

#include <doctest/doctest.h>

#include "kernels/cpu/event.h"
#include "kernels/cpu/stream.h"
#include "kernels/cpu/threads.h"
#include "tests/kernels/backends.h"

using namespace yeoul;
using namespace yeoul::cpu;

namespace {

std::string thrown_by(const std::function<void()>& action) {
    try {
        action();
    } catch (const std::exception& exception) {
        return exception.what();
    }
    return "nothing";
}

Task throwing(const char* what) {
    return [what](dnnl_stream*) { throw std::runtime_error(what); };
}

// A task that waits until it is let go.
class Gate {
public:
    Task task() {
        return [opened = opened_.get_future().share()](dnnl_stream*) { opened.wait(); };
    }
    void open() { opened_.set_value(); }

private:
    std::promise<void> opened_;
};

} // namespace

TEST_CASE("cpu stream: enqueue returns while the work is blocked, and the rest waits") {
    WorkerStream stream(1, nullptr);
    Gate gate;
    HostEvent before, after;
    std::vector<int> order;
    before.record(stream);
    before.synchronize();
    stream.enqueue(gate.task());
    for (int i = 0; i < 100; ++i)
        stream.enqueue([&order, i](dnnl_stream*) { order.push_back(i); });
    after.record(stream);
    CHECK(before.complete());
    CHECK_FALSE(after.complete());
    CHECK(yeoul::test::contains(thrown_by([&] { (void)after.completed_mark("elapsed_ms"); }),
                                "not complete"));
    gate.open();
    stream.synchronize();
    CHECK(after.complete());
    REQUIRE(order.size() == 100);
    for (int i = 0; i < 100; ++i)
        CHECK(order[i] == i);
}

TEST_CASE("cpu stream: synchronize rethrows the first exception once, and later work runs again") {
    WorkerStream stream(1, nullptr);
    int ran = 0;
    stream.enqueue(throwing("first"));
    stream.enqueue([&](dnnl_stream*) { ++ran; });
    stream.enqueue(throwing("second"));
    CHECK(thrown_by([&] { stream.synchronize(); }) == "first");
    CHECK(ran == 0); // it would have computed on what the failed task left
    stream.synchronize();
    stream.enqueue([&](dnnl_stream*) { ++ran; });
    stream.synchronize();
    CHECK(ran == 1);
}

TEST_CASE("cpu event: synchronize rethrows what failed before the record, and tells the stream") {
    WorkerStream stream(1, nullptr);
    HostEvent early, late;
    early.record(stream);
    stream.enqueue(throwing("broken"));
    late.record(stream);
    early.synchronize();
    CHECK(thrown_by([&] { late.synchronize(); }) == "broken");
    CHECK(late.complete());
    stream.synchronize(); // told already
}

TEST_CASE("cpu event: a stream that waits for a failed one inherits the failure") {
    WorkerStream first(1, nullptr), second(1, nullptr);
    HostEvent event;
    bool ran = false;
    first.enqueue(throwing("broken"));
    event.record(first);
    event.wait(second);
    second.enqueue([&](dnnl_stream*) { ran = true; });
    CHECK(thrown_by([&] { second.synchronize(); }) == "broken");
    CHECK_FALSE(ran);
    CHECK(thrown_by([&] { first.synchronize(); }) == "broken");
}

TEST_CASE("cpu event: a wait is for the record made before it, on whichever stream") {
    WorkerStream slow(1, nullptr), fast(1, nullptr), waiting(1, nullptr);
    Gate gate;
    HostEvent event;
    bool waited_for_slow = false, slow_done = false;
    slow.enqueue(gate.task());
    slow.enqueue([&](dnnl_stream*) { slow_done = true; });
    event.record(slow);
    event.wait(waiting);
    waiting.enqueue([&](dnnl_stream*) { waited_for_slow = slow_done; });
    event.record(fast); // again, and reached at once
    event.synchronize();
    gate.open();
    waiting.synchronize();
    CHECK(waited_for_slow);
}

TEST_CASE("cpu stream: a failure inside a replay surfaces and drops its rest") {
    WorkerStream stream(1, nullptr);
    int ran = 0;
    stream.begin_capture();
    stream.enqueue(throwing("node"));
    stream.enqueue([&](dnnl_stream*) { ++ran; });
    const auto recording = stream.end_capture();
    REQUIRE(recording->tasks.size() == 2);
    stream.enqueue([&](dnnl_stream* math) {
        for (const Task& task : recording->tasks)
            task(math);
    });
    CHECK(thrown_by([&] { stream.synchronize(); }) == "node");
    CHECK(ran == 0);
}

TEST_CASE("cpu threads: planning leaves the caller's thread alone and rethrows") {
    std::thread::id planner;
    run_with_math_threads(2, [&] { planner = std::this_thread::get_id(); });
    CHECK(planner != std::this_thread::get_id());
    CHECK(thrown_by([] {
              run_with_math_threads(1, [] { throw std::runtime_error("planning failed"); });
          }) == "planning failed");
}

TEST_CASE("cpu threads: the usable cores are those of the affinity") {
    int cores = 0;
    std::thread([&] {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(sched_getcpu(), &one);
        REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
        cores = usable_cores();
    }).join();
    CHECK(cores == 1);
    CHECK(usable_cores() >= 1);
}

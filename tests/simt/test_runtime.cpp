// Streams, events, captures and failures of the emulated runtime.
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "tests/simt/device.h"

using namespace simt::test;

namespace {

class Event {
public:
    Event() { must(cudaEventCreateWithFlags(&event_, cudaEventDefault)); }
    ~Event() { (void)cudaEventDestroy(event_); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    operator cudaEvent_t() const { return event_; }

private:
    cudaEvent_t event_ = nullptr;
};

__global__ void add_one(int* x) {
    atomicAdd(x, 1);
}
__global__ void broken(int*) {
    if (threadIdx.x == 1)
        __trap();
}

void enqueue(void (*kernel)(int*), cudaStream_t stream, int* x, unsigned threads = 1) {
    must(simt::launch(kernel, dim3(1), dim3(threads), 0, stream, std::tuple<int*>(x)));
}

struct Fresh { // a failure here must not reach the next test
    ~Fresh() { simt::reset_device(); }
};

} // namespace

TEST_CASE("runtime: work waits until somebody synchronizes") {
    const Stream stream;
    const Buffer<int> x(std::vector<int>{1});
    int y = -1;
    must(cudaMemcpyAsync(&y, x.data(), sizeof y, cudaMemcpyDeviceToHost, stream));
    CHECK(y == -1);
    must(cudaStreamSynchronize(stream));
    CHECK(y == 1);
}

TEST_CASE("runtime: a copy reads its source when it runs") {
    const Stream stream;
    const Buffer<int> x(1);
    int source = 1;
    must(cudaMemcpyAsync(x.data(), &source, sizeof source, cudaMemcpyHostToDevice, stream));
    source = 2; // a host that writes too early changes what arrives
    must(cudaStreamSynchronize(stream));
    CHECK(x.values()[0] == 2);
}

TEST_CASE("runtime: a stream that waits runs what the event waits for, and no more") {
    const Stream first, second;
    const Buffer<int> x(std::vector<int>{0});
    const Event event;
    enqueue(add_one, first, x.data());
    must(cudaEventRecord(event, first));
    enqueue(add_one, first, x.data());
    must(cudaStreamWaitEvent(second, event, 0));
    int seen = -1;
    must(cudaMemcpyAsync(&seen, x.data(), sizeof seen, cudaMemcpyDeviceToHost, second));
    must(cudaStreamSynchronize(second));
    CHECK(seen == 1);
    must(cudaStreamSynchronize(first));
    CHECK(x.values()[0] == 2);
}

TEST_CASE("runtime: each query of an event runs one operation") {
    const Stream first, second;
    const Buffer<int> x(std::vector<int>{0});
    const Event inner, outer;
    enqueue(add_one, first, x.data());
    must(cudaEventRecord(inner, first));
    must(cudaStreamWaitEvent(second, inner, 0));
    enqueue(add_one, second, x.data());
    must(cudaEventRecord(outer, second));
    int unfinished = 0;
    while (cudaEventQuery(outer) == cudaErrorNotReady)
        ++unfinished;
    CHECK(unfinished == 4); // add, record, wait, add; the fifth query reaches the event
    CHECK(cudaEventQuery(inner) == cudaSuccess);
}

TEST_CASE("runtime: destroying a stream finishes its work") {
    const Buffer<int> x(std::vector<int>{0});
    {
        const Stream stream;
        enqueue(add_one, stream, x.data());
    }
    CHECK(x.values()[0] == 1);
}

TEST_CASE("runtime: synchronizing a capture breaks it, as on a GPU") {
    const Fresh fresh;
    const Stream stream;
    const Buffer<int> x(std::vector<int>{0});
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    CHECK(cudaStreamSynchronize(stream) == cudaErrorStreamCaptureUnsupported);
    CHECK(simt::launch(add_one, dim3(1), dim3(1), 0, stream, std::tuple<int*>(x.data())) ==
          cudaErrorStreamCaptureInvalidated);
    cudaGraph_t graph = nullptr;
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated);
    CHECK(graph == nullptr);
    must(cudaStreamSynchronize(stream));
}

TEST_CASE("runtime: events keep to their side of a capture") {
    const Stream stream, other;
    const Event outside, inside;
    must(cudaEventRecord(outside, other));
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    CHECK(cudaStreamWaitEvent(stream, outside, 0) == cudaErrorStreamCaptureIsolation);
    must(cudaEventRecord(inside, stream));
    must(cudaStreamWaitEvent(stream, inside, 0));
    CHECK(cudaEventQuery(inside) == cudaErrorCapturedEvent);
    CHECK(cudaStreamWaitEvent(other, inside, 0) == cudaErrorCapturedEvent);
    cudaGraph_t graph = nullptr;
    must(cudaStreamEndCapture(stream, &graph));
    must(cudaGraphDestroy(graph));
    CHECK(cudaEventSynchronize(inside) == cudaErrorCapturedEvent);
}

TEST_CASE("runtime: a failed kernel loses the device, with the emulator's words") {
    const Fresh fresh;
    const Stream stream;
    const Buffer<int> x(std::vector<int>{0});
    (void)cudaGetLastError();
    enqueue(broken, stream, x.data(), 2);
    enqueue(add_one, stream, x.data());
    CHECK(cudaPeekAtLastError() == cudaSuccess);
    CHECK(cudaStreamSynchronize(stream) == cudaErrorLaunchFailure);
    const std::string text = cudaGetErrorString(cudaErrorLaunchFailure);
    CHECK(text.find("broken, block (0,0,0), thread (1,0,0): __trap()") != std::string::npos);
    CHECK(simt::last_failure().find("__trap()") != std::string::npos);
    void* data = nullptr;
    CHECK(cudaMalloc(&data, 64) == cudaErrorLaunchFailure);
    CHECK(cudaGetLastError() == cudaErrorLaunchFailure);
    CHECK(cudaGetLastError() == cudaErrorLaunchFailure);
    simt::reset_device();
    CHECK(cudaGetLastError() == cudaSuccess);
    CHECK(x.values()[0] == 0); // what was enqueued behind it never ran
}

TEST_CASE("runtime: failures on request") {
    const Fresh fresh;
    simt::fail_allocation(2);
    const Buffer<int> first(1);
    void* data = nullptr;
    CHECK(cudaMalloc(&data, 64) == cudaErrorMemoryAllocation);
    must(cudaMalloc(&data, 64));
    must(cudaFree(data));
    const Stream stream;
    simt::lose_device("unplugged");
    CHECK(cudaStreamSynchronize(stream) == cudaErrorLaunchFailure);
    CHECK(std::string(cudaGetErrorString(cudaErrorLaunchFailure)).find("unplugged") !=
          std::string::npos);
}

TEST_CASE("runtime: memory is exact, aligned, all bits set, and counted") {
    size_t before = 0, during = 0, total = 0;
    must(cudaMemGetInfo(&before, &total));
    {
        const Buffer<unsigned> x(1000);
        CHECK(reinterpret_cast<uintptr_t>(x.data()) % 256 == 0);
        for (unsigned value : x.values())
            CHECK(value == 0xffffffffU);
        must(cudaMemGetInfo(&during, &total));
        CHECK(before - during == 4000);
    }
    must(cudaMemGetInfo(&during, &total));
    CHECK(during == before);
}

TEST_CASE("runtime: recorded launches do not run, and say what they would have been") {
    const Stream stream;
    const Buffer<int> x(std::vector<int>{0});
    simt::take_launches();
    simt::config().record_only = true;
    must(simt::launch(add_one, dim3(7, 2), dim3(32, 4), 128, stream, std::tuple<int*>(x.data())));
    CHECK(simt::take_launches().empty());
    must(cudaStreamSynchronize(stream));
    simt::config().record_only = false;
    const auto launches = simt::take_launches();
    REQUIRE(launches.size() == 1);
    CHECK(launches[0].kernel.find("add_one(int*)") != std::string::npos);
    CHECK(launches[0].symbol.find("add_one") != std::string::npos);
    CHECK(launches[0].grid == std::array<unsigned, 3>{7, 2, 1});
    CHECK(launches[0].block == std::array<unsigned, 3>{32, 4, 1});
    CHECK(launches[0].shared_bytes == 128);
    CHECK(x.values()[0] == 0);
}

TEST_CASE("runtime: host threads share the device") {
    const Buffer<int> x(std::vector<int>{0});
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&x] {
            const Stream stream;
            const Event event;
            for (int round = 0; round < 20; ++round) {
                enqueue(add_one, stream, x.data(), 64);
                must(cudaEventRecord(event, stream));
                must(cudaEventSynchronize(event));
            }
        });
    for (std::thread& thread : threads)
        thread.join();
    CHECK(x.values()[0] == 4 * 20 * 64);
}

TEST_CASE("runtime: the same seed gives the same order, another seed another") {
    struct Order {
        static void kernel(int* next, int* y) {
            __syncthreads();
            y[atomicAdd(next, 1)] = static_cast<int>(threadIdx.x);
        }
    };
    const simt::Config before = simt::config();
    const auto order = [](uint64_t seed) {
        simt::reset_device();
        simt::config().random_order = seed != 0;
        simt::config().seed = seed;
        const Buffer<int> next(std::vector<int>{0}), y(64);
        run(Order::kernel, dim3(1), dim3(64), 0, next.data(), y.data());
        return y.values();
    };
    CHECK(order(5) == order(5));
    CHECK(order(5) != order(6));
    CHECK(order(0) != order(5));
    simt::config() = before;
}

#include <vector>

#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

// Moves every cell one place to the right, from the right end.
void shift(Backend& backend, const DeviceTensor& cells, StreamRef stream) {
    auto* cell = cells.view().as<float>();
    for (int i = cells.view().shape[0] - 1; i > 0; --i)
        backend.copy(cell + i, cell + i - 1, sizeof(float), CopyKind::device_to_device, stream);
}

std::unique_ptr<Graph> capture_shift(Backend& backend, const DeviceTensor& cells,
                                     StreamRef stream) {
    backend.begin_capture(stream);
    shift(backend, cells, stream);
    return backend.end_capture(stream);
}

} // namespace

TEST_CASE("graphs: a capture records and does not run, each replay runs once") {
    on_each_backend([](Backend& backend) {
        const Stream stream(backend);
        const DeviceTensor cells(backend, DType::f32, {5}, {1, 2, 3, 4, 5});
        const auto graph = capture_shift(backend, cells, stream);
        backend.synchronize(StreamRef(stream));
        CHECK(graph->nodes() == 4);
        CHECK(cells.values() == std::vector<float>{1, 2, 3, 4, 5});
        backend.launch(*graph, stream);
        backend.synchronize(StreamRef(stream));
        CHECK(cells.values() == std::vector<float>{1, 1, 2, 3, 4});
        backend.launch(*graph, stream);
        backend.launch(*graph, stream);
        backend.synchronize(StreamRef(stream));
        CHECK(cells.values() == std::vector<float>{1, 1, 1, 1, 2});
    });
}

TEST_CASE("graphs: replay many times, in order with eager work around them") {
    on_each_backend([](Backend& backend) {
        const Stream stream(backend);
        const int count = 200;
        std::vector<float> values(count);
        for (int i = 0; i < count; ++i)
            values[i] = static_cast<float>(i);
        const DeviceTensor cells(backend, DType::f32, {count}, values);
        const auto graph = capture_shift(backend, cells, stream);
        for (int i = 0; i < 50; ++i) {
            backend.launch(*graph, stream);
            shift(backend, cells, stream);
        }
        backend.synchronize(StreamRef(stream));
        for (int i = 0; i < count; ++i)
            values[i] = static_cast<float>(i < 100 ? 0 : i - 100);
        CHECK(cells.values() == values);
    });
}

TEST_CASE("graphs: one captured on a stream runs on another, and outlives its stream") {
    on_each_backend([](Backend& backend) {
        const DeviceTensor cells(backend, DType::f32, {3}, {1, 2, 3});
        std::unique_ptr<Graph> graph;
        {
            const Stream stream(backend);
            graph = capture_shift(backend, cells, stream);
        }
        const Stream other(backend);
        backend.launch(*graph, other);
        backend.synchronize(StreamRef(other));
        CHECK(cells.values() == std::vector<float>{1, 1, 2});
    });
}

TEST_CASE("graphs: an empty one runs") {
    on_each_backend([](Backend& backend) {
        const Stream stream(backend);
        backend.begin_capture(stream);
        const auto graph = backend.end_capture(stream);
        CHECK(graph->nodes() == 0);
        backend.launch(*graph, stream);
        backend.synchronize(StreamRef(stream));
    });
}

TEST_CASE("graphs: another stream works on while one captures") {
    on_each_backend([](Backend& backend) {
        const Stream capturing(backend), working(backend);
        const DeviceTensor a(backend, DType::f32, {3}, {1, 2, 3});
        const DeviceTensor b(backend, DType::f32, {3}, {1, 2, 3});
        backend.begin_capture(capturing);
        shift(backend, a, capturing);
        shift(backend, b, working);
        backend.synchronize(StreamRef(working));
        CHECK(b.values() == std::vector<float>{1, 1, 2});
        const auto graph = backend.end_capture(capturing);
        CHECK(graph->nodes() == 2);
        CHECK(a.values() == std::vector<float>{1, 2, 3});
    });
}

TEST_CASE("graphs: an abandoned capture leaves a working stream and runs nothing") {
    on_each_backend([](Backend& backend) {
        const Stream stream(backend);
        const DeviceTensor cells(backend, DType::f32, {3}, {1, 2, 3});
        backend.abandon_capture(stream); // no capture: nothing
        backend.begin_capture(stream);
        shift(backend, cells, stream);
        backend.abandon_capture(stream);
        backend.synchronize(StreamRef(stream));
        CHECK(cells.values() == std::vector<float>{1, 2, 3});
        const auto graph = capture_shift(backend, cells, stream);
        backend.launch(*graph, stream);
        backend.synchronize(StreamRef(stream));
        CHECK(cells.values() == std::vector<float>{1, 1, 2});
    });
}

TEST_CASE("graphs: misuse throws and leaves the capture as it was") {
    on_each_backend([](Backend& backend) {
        const Stream stream(backend), other(backend);
        const Event outside(backend), inside(backend);
        const DeviceTensor cells(backend, DType::f32, {3}, {1, 2, 3});
        const auto refused = [&](auto action) {
            CHECK_FALSE(error_of(ErrorCode::invalid_argument, action).empty());
        };
        refused([&] { (void)backend.end_capture(stream); });
        backend.record(outside, other);
        backend.synchronize(EventRef(outside));

        backend.begin_capture(stream);
        refused([&] { backend.begin_capture(stream); });
        refused([&] { backend.synchronize(StreamRef(stream)); });
        refused([&] { backend.wait(outside, stream); });
        shift(backend, cells, stream);
        const auto graph = backend.end_capture(stream);
        CHECK(graph->nodes() == 2);
        refused([&] { (void)backend.end_capture(stream); });
        backend.launch(*graph, stream);
        backend.synchronize(StreamRef(stream));
        CHECK(cells.values() == std::vector<float>{1, 1, 2});
    });
}

TEST_CASE("graphs: an event recorded in a capture orders that capture only") {
    on_each_backend([](Backend& backend) {
        const Stream stream(backend), other(backend);
        const Event event(backend);
        const auto refused = [&](auto action) {
            CHECK_FALSE(error_of(ErrorCode::invalid_argument, action).empty());
        };
        backend.begin_capture(stream);
        backend.record(event, stream);
        backend.wait(event, stream);
        const auto graph = backend.end_capture(stream);
        refused([&] { backend.synchronize(EventRef(event)); });
        refused([&] { (void)backend.complete(event); });
        backend.record(event, other);
        backend.synchronize(EventRef(event));
        CHECK(backend.complete(event));
    });
}

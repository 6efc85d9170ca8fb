#include <optional>
#include <vector>

#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

constexpr int kCells = 4 << 20;

// Enqueues work of a few milliseconds on `stream` that leaves zeros in `cells`.
void clear_slowly(Backend& backend, const DeviceTensor& cells, const Stream& stream) {
    for (int i = 0; i < 10; ++i)
        backend.zero(cells.view().data, cells.view().bytes(), stream);
}

std::vector<std::byte> filled(uint8_t value) {
    return std::vector<std::byte>(kCells, std::byte{value});
}

} // namespace

TEST_CASE("events: one that was never recorded counts as complete") {
    on_each_backend([](Backend& backend) {
        const Event event(backend);
        const Stream stream(backend);
        CHECK(backend.complete(event));
        backend.synchronize(EventRef(event));
        backend.wait(event, stream);
        backend.synchronize(StreamRef(stream));
    });
}

TEST_CASE("events: synchronize waits for the work before the record") {
    on_each_backend([](Backend& backend) {
        const Stream stream(backend);
        const Event event(backend);
        const DeviceTensor cells(backend, DType::u8, {kCells});
        clear_slowly(backend, cells, stream);
        backend.record(event, stream);
        backend.synchronize(EventRef(event));
        CHECK(backend.complete(event));
        CHECK(cells.bytes() == filled(0));
    });
}

TEST_CASE("events: a stream waits for another's work, forth and back") {
    on_each_backend([](Backend& backend) {
        const Stream first(backend), second(backend);
        const Event forth(backend), back(backend);
        DeviceTensor a(backend, DType::u8, {kCells}), b(backend, DType::u8, {kCells});
        for (int round = 0; round < 5; ++round) {
            a.write(filled(0xff));
            b.write(filled(0xff));
            clear_slowly(backend, a, first);
            backend.record(forth, first);
            backend.wait(forth, second);
            backend.copy(b.view().data, a.view().data, kCells, CopyKind::device_to_device, second);
            backend.record(back, second);
            backend.wait(back, first);
            backend.copy(a.view().data, b.view().data, kCells, CopyKind::device_to_device, first);
            backend.synchronize(StreamRef(first));
            CHECK(b.bytes() == filled(0));
            CHECK(a.bytes() == filled(0));
        }
    });
}

TEST_CASE("events: a wait is for the last record made before it") {
    on_each_backend([](Backend& backend) {
        const Stream first(backend), second(backend);
        const Event event(backend), never(backend);
        DeviceTensor a(backend, DType::u8, {kCells}), b(backend, DType::u8, {kCells});
        a.write(filled(0xff));
        backend.record(event, first);
        backend.wait(event, second);
        // Recorded again: the wait above must not follow, or the streams would wait in a circle.
        backend.record(never, second);
        backend.wait(never, first);
        clear_slowly(backend, a, first);
        backend.record(event, first);
        backend.wait(event, second);
        backend.copy(b.view().data, a.view().data, kCells, CopyKind::device_to_device, second);
        backend.synchronize(StreamRef(second));
        CHECK(b.bytes() == filled(0));
    });
}

TEST_CASE("events: time between two records grows with the work between them") {
    on_each_backend([](Backend& backend) {
        const Stream stream(backend);
        const Event start(backend), middle(backend), stop(backend);
        const DeviceTensor cells(backend, DType::u8, {kCells});
        backend.record(start, stream);
        clear_slowly(backend, cells, stream);
        backend.record(middle, stream);
        clear_slowly(backend, cells, stream);
        backend.record(stop, stream);
        backend.synchronize(EventRef(stop));
        const float first = backend.elapsed_ms(start, middle);
        const float both = backend.elapsed_ms(start, stop);
        CHECK(first > 0);
        CHECK(both >= first);
        CHECK(backend.elapsed_ms(start, start) == 0);
    });
}

TEST_CASE("events: time needs two complete records") {
    on_each_backend([](Backend& backend) {
        const Stream stream(backend);
        const Event recorded(backend), never(backend);
        backend.record(recorded, stream);
        backend.synchronize(EventRef(recorded));
        (void)error_of(ErrorCode::invalid_argument,
                       [&] { (void)backend.elapsed_ms(recorded, never); });
    });
}

TEST_CASE("events: may be destroyed while work that names them is pending") {
    on_each_backend([](Backend& backend) {
        const Stream first(backend), second(backend);
        DeviceTensor a(backend, DType::u8, {kCells}), b(backend, DType::u8, {kCells});
        a.write(filled(0xff));
        clear_slowly(backend, a, first);
        {
            const Event event(backend);
            backend.record(event, first);
            backend.wait(event, second);
        }
        backend.copy(b.view().data, a.view().data, kCells, CopyKind::device_to_device, second);
        backend.synchronize(StreamRef(second));
        CHECK(b.bytes() == filled(0));
    });
}

TEST_CASE("events: outlive the stream they were recorded on") {
    on_each_backend([](Backend& backend) {
        const Event event(backend);
        {
            const Stream stream(backend);
            backend.record(event, stream);
        }
        backend.synchronize(EventRef(event));
        CHECK(backend.complete(event));
    });
}

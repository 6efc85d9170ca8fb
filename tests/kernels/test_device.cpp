#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/cuda/check.h"
#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/simt/include/simt/config.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

TEST_CASE("properties: say what the device is") {
    on_each_backend([](Backend& backend) {
        const DeviceProperties& properties = backend.properties();
        CHECK_FALSE(properties.kind.empty());
        CHECK_FALSE(properties.name.empty());
        CHECK_FALSE(properties.isa.empty());
        CHECK(properties.compute_units >= 1);
        if (properties.kind == "simt")
            CHECK(properties.pci_address == "00000000:00:1e.0");
        if (properties.kind == "cpu")
            CHECK(properties.pci_address.empty());
        CHECK(properties.total_bytes >= size_t{1} << 28);
        CHECK(backend.free_bytes() > 0);
        CHECK(backend.free_bytes() <= properties.total_bytes);
    });
}

TEST_CASE("simt: properties: a backend that cannot be made leaves no stream behind") {
    const int before = simt::open_streams();
    CHECK(contains(
        error_of(ErrorCode::invalid_argument, [] { (void)cuda::make_backend({.sm = 80}); }),
        "sm 80 was asked for"));
    CHECK(simt::open_streams() == before);
    simt::refuse_kernels(209); // cudaErrorNoKernelImageForDevice
    CHECK(contains(error_of(ErrorCode::device, [] { (void)cuda::make_backend({}); }),
                   "cudaErrorNoKernelImageForDevice"));
    simt::refuse_kernels(0);
    CHECK(simt::open_streams() == before);
    {
        const auto backend = cuda::make_backend({});
        CHECK(simt::open_streams() == before + 1);
    }
    CHECK(simt::open_streams() == before);
}

TEST_CASE("numerics: a precision gives storage types or an error that names it") {
    on_each_backend([](Backend& backend) {
        const Numerics automatic = backend.numerics("auto");
        CHECK((automatic.compute == DType::f32 || automatic.compute == DType::f16));
        for (const char* precision : {"fp32", "bf16", "fp16"}) {
            try {
                const Numerics numerics = backend.numerics(precision);
                CHECK(name(numerics.compute) == std::string_view(precision));
            } catch (const Error& error) {
                CHECK(name(error.code()) == name(ErrorCode::device));
                CHECK(contains(error.what(), precision));
                MESSAGE("skipped in every test: " << std::string(error.what()));
            }
        }
        CHECK(contains(error_of(ErrorCode::device, [&] { (void)backend.numerics("fp8"); }), "fp8"));
    });
}

TEST_CASE("memory: aligned to 256 bytes, and nothing for 0 bytes") {
    on_each_backend([](Backend& backend) {
        for (size_t bytes : {size_t{1}, size_t{255}, size_t{257}, size_t{3} << 20}) {
            const DeviceMemory device = make_device_memory(backend, bytes);
            const PinnedMemory pinned = make_pinned_memory(backend, bytes);
            CHECK(reinterpret_cast<uintptr_t>(device.get()) % 256 == 0);
            CHECK(reinterpret_cast<uintptr_t>(pinned.get()) % 256 == 0);
            std::memset(pinned.get(), 1, bytes);
        }
        CHECK(backend.allocate(0) == nullptr);
        CHECK(backend.allocate_pinned(0) == nullptr);
        backend.release(nullptr);
        backend.release_pinned(nullptr);
    });
}

TEST_CASE("memory: more than there is throws OutOfMemory with the size") {
    on_each_backend([](Backend& backend) {
        for (size_t bytes : {size_t{1} << 50, SIZE_MAX}) {
            CHECK_THROWS_AS((void)backend.allocate(bytes), OutOfMemory);
            CHECK_THROWS_AS((void)backend.allocate_pinned(bytes), OutOfMemory);
            try {
                (void)backend.allocate(bytes);
            } catch (const OutOfMemory& error) {
                CHECK(error.bytes() == bytes);
            }
        }
        const DeviceMemory still_works = make_device_memory(backend, 64);
        CHECK(still_works != nullptr);
    });
}

TEST_CASE("copies: all directions and zero, of odd sizes") {
    on_each_backend([](Backend& backend) {
        const Stream stream(backend);
        for (size_t bytes : {size_t{0}, size_t{1}, size_t{4097}, size_t{5} << 20}) {
            const auto data = random_bytes(bytes, 1);
            const PinnedMemory in = make_pinned_memory(backend, bytes + 1),
                               out = make_pinned_memory(backend, bytes + 1);
            const DeviceMemory a = make_device_memory(backend, bytes + 1),
                               b = make_device_memory(backend, bytes + 1);
            std::copy(data.begin(), data.end(), static_cast<uint8_t*>(in.get()));
            std::memset(out.get(), 0xee, bytes + 1);
            backend.copy(a.get(), in.get(), bytes, CopyKind::host_to_device, stream);
            backend.copy(b.get(), a.get(), bytes, CopyKind::device_to_device, stream);
            backend.copy(out.get(), b.get(), bytes, CopyKind::device_to_host, stream);
            backend.synchronize(StreamRef(stream));
            const auto* copied = static_cast<const uint8_t*>(out.get());
            CHECK(std::equal(data.begin(), data.end(), copied));
            CHECK(copied[bytes] == 0xee);
            backend.zero(b.get(), bytes, stream);
            backend.copy(out.get(), b.get(), bytes, CopyKind::device_to_host, stream);
            backend.synchronize(StreamRef(stream));
            CHECK(std::count(copied, copied + bytes, 0) == static_cast<std::ptrdiff_t>(bytes));
            CHECK(copied[bytes] == 0xee);
        }
    });
}

TEST_CASE("streams: work runs in the order it was enqueued") {
    on_each_backend([](Backend& backend) {
        const Stream stream(backend);
        // A value travels through a row of cells; any two copies out of order break the chain.
        constexpr int kCells = 2000;
        std::vector<float> start(kCells, 0);
        start[0] = 42;
        const DeviceTensor cells(backend, DType::f32, {kCells}, start);
        auto* cell = cells.view().as<float>();
        for (int i = 1; i < kCells; ++i)
            backend.copy(cell + i, cell + i - 1, sizeof(float), CopyKind::device_to_device, stream);
        backend.synchronize(StreamRef(stream));
        CHECK(cells.values() == std::vector<float>(kCells, 42));
    });
}

TEST_CASE("streams: destroying one finishes its work") {
    on_each_backend([](Backend& backend) {
        const DeviceTensor cells(backend, DType::u8, {8 << 20});
        {
            const Stream stream(backend);
            for (int i = 0; i < 20; ++i)
                backend.zero(cells.view().data, cells.view().bytes(), stream);
        }
        CHECK(cells.bytes() == std::vector<std::byte>(cells.view().bytes()));
    });
}

TEST_CASE("streams: synchronize with nothing enqueued returns, again and again") {
    on_each_backend([](Backend& backend) {
        const Stream stream(backend);
        for (int i = 0; i < 3; ++i)
            CHECK_NOTHROW(backend.synchronize(StreamRef(stream)));
    });
}

TEST_CASE(
    "simt: after errors that spoil the context the device is lost, also those without a name") {
    for (const int error : {226, 700, 719, 721, 911, 999}) {
        CAPTURE(error);
        error_of(ErrorCode::device_lost, [&] {
            cuda::throw_cuda_error(static_cast<cudaError_t>(error), "a call", "a file", 1);
        });
    }
    error_of(ErrorCode::internal,
             [] { cuda::throw_cuda_error(cudaErrorInvalidValue, "a call", "a file", 1); });
}

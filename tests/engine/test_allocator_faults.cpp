#include <doctest/doctest.h>

#include <new>
#include <optional>
#include <vector>

#include "engine/memory/caching_allocator.h"
#include "tests/engine/fake_device.h"
#include "tests/support/failing_new.h"
#include "tests/support/random.h"
#include "tests/support/sanitizers.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

constexpr MemoryTag kWork = MemoryTag::workspace, kLabels = MemoryTag::labels;

/// The error of `call`, or nothing.
template <class Call>
std::optional<Error> error_of(Call call) {
    try {
        call();
    } catch (const Error& error) {
        return error;
    }
    return {};
}

bool names(const std::optional<Error>& error, const std::string& text) {
    return error && std::string(error->what()).find(text) != std::string::npos;
}

} // namespace

TEST_CASE("allocator faults: 0 bytes is an empty block") {
    FakeDevice device;
    FailingUpstream upstream;
    const Stream stream(device);
    CachingAllocator allocator(device, upstream);
    MemoryBlock block = allocator.allocate(0, kWork, stream);
    CHECK_FALSE(block);
    CHECK(block.data() == nullptr);
    CHECK(error_of([&] { block.used_on(stream); })->code() == ErrorCode::invalid_argument);
    allocator.release(block.detach());
    CHECK(upstream.calls() == 0);
}

TEST_CASE("allocator faults: sizes near SIZE_MAX are out of memory, and nothing is lost") {
    FakeDevice device;
    FailingUpstream upstream;
    const Stream stream(device);
    CachingAllocator allocator(device, upstream);
    const MemoryBlock block = allocator.allocate(1, kWork, stream);
    for (const size_t bytes : {SIZE_MAX, SIZE_MAX - 255, SIZE_MAX - kPage, SIZE_MAX / 2 + 1,
                               BlockPolicy::kMaxBytes + 1}) {
        const auto error = error_of([&] { allocator.allocate(bytes, kWork, stream); });
        REQUIRE(error);
        CHECK(error->code() == ErrorCode::out_of_memory);
        CHECK(names(error, std::to_string(bytes)));
    }
    CHECK(upstream.calls() == 1); // no attempt
    CHECK(allocator.stats().total.ooms == 5);
    CHECK(allocator.stats().total.allocated_bytes == 256);
}

TEST_CASE("allocator faults: freeing what is not ours, twice, inside, or of another device") {
    FakeDevice device, other_device;
    FailingUpstream upstream, other_upstream;
    const Stream stream(device), other_stream(other_device);
    CachingAllocator allocator(device, upstream), other(other_device, other_upstream);
    auto refused = [&](CachingAllocator& by, void* data) {
        const auto error = error_of([&] { by.release(data); });
        return error && error->code() == ErrorCode::invalid_argument;
    };
    int stranger = 0;
    CHECK(refused(allocator, &stranger));
    void* data = allocator.allocate(1000, kWork, stream).detach();
    CHECK(refused(allocator, static_cast<char*>(data) + 1));
    CHECK(refused(allocator, static_cast<char*>(data) + 256));
    CHECK(refused(other, data));
    CHECK(allocator.stats().total.allocated_bytes == 1024);
    allocator.release(data);
    CHECK(refused(allocator, data));
    allocator.release(nullptr);
    CHECK(allocator.stats().bad_frees == 4);
    CHECK(other.stats().bad_frees == 1);
    CHECK(allocator.stats().total.allocated_bytes == 0);

    // A block that waits for a stream was freed as well.
    MemoryBlock block = allocator.allocate(1000, kWork, stream);
    void* held = block.data();
    block.used_on(stream);
    block.reset();
    CHECK(refused(allocator, held));
    // Given back to upstream: not ours any more.
    FakeDevice::queue(stream).finish();
    allocator.empty_cache();
    CHECK(refused(allocator, held));
}

TEST_CASE("allocator faults: a pointer freed behind a block's back is not freed again by it") {
    FakeDevice device;
    FailingUpstream upstream;
    const Stream stream(device);
    CachingAllocator allocator(device, upstream);
    MemoryBlock owner = allocator.allocate(1000, kWork, stream);
    allocator.release(owner.data());
    const MemoryBlock next = allocator.allocate(1000, kWork, stream);
    CHECK(next.data() == owner.data());
    owner.reset();
    CHECK(allocator.stats().bad_frees == 1);
    CHECK(allocator.stats().total.allocated_bytes == 1024);
}

TEST_CASE("allocator faults: out of memory names bytes, tag, what is cached and the limit") {
    FakeDevice device;
    FailingUpstream upstream;
    const Stream stream(device);
    CachingAllocator allocator(device, upstream, 4 * kPage);
    const MemoryBlock block = allocator.allocate(kPage, kWork, stream);
    const auto error = error_of([&] { allocator.allocate(4 * kPage, kLabels, stream); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::out_of_memory);
    CHECK(std::string(error->what()) ==
          "out of memory: 8388608 bytes for labels on a fake: 2097152 in use, 0 cached (largest "
          "free block 0), 2097152 reserved of the 8388608 allowed");
    CHECK(allocator.stats().by_tag[static_cast<int>(kLabels)].ooms == 1);
    CHECK(allocator.stats().retries == 1);
    CHECK(allocator.allocate(3 * kPage, kLabels, stream)); // what is left is there
}

TEST_CASE("allocator faults: a limit that is no multiple of a page is used to the granule") {
    FakeDevice device;
    FailingUpstream upstream;
    const Stream stream(device);
    CachingAllocator allocator(device, upstream, 3000);
    CHECK(allocator.allocate(2816, kWork, stream));
    CHECK(error_of([&] { allocator.allocate(2817, kWork, stream); }));
    CHECK(upstream.live_bytes() == 0); // the flush gave the smaller one back
}

TEST_CASE("allocator faults: a full cache is flushed and upstream asked once more") {
    FakeDevice device;
    FailingUpstream upstream;
    const Stream a(device), b(device);
    CachingAllocator allocator(device, upstream);
    upstream.fails = [&](int, size_t bytes) { return upstream.live_bytes() + bytes > 16 * kPage; };
    // 16 pages in use, of which 15 in small segments; then all of them idle.
    std::vector<MemoryBlock> blocks;
    for (int i = 0; i < 16; ++i)
        blocks.push_back(allocator.allocate(kPage, kLabels, i % 2 ? a : b));
    CHECK(error_of([&] { allocator.allocate(kPage, kWork, a); }));
    const MemoryBlock last = std::move(blocks.back());
    blocks.front().used_on(a);
    blocks.clear();
    CHECK(allocator.allocate(15 * kPage, kWork, a));
    CHECK(upstream.live_bytes() == 16 * kPage);
    CHECK(allocator.stats().total.ooms == 1);
}

TEST_CASE("allocator faults: before it gives up it waits for blocks that streams still use") {
    FakeDevice device;
    FailingUpstream upstream;
    const Stream a(device), b(device);
    CachingAllocator allocator(device, upstream, 2 * kPage);
    MemoryBlock block = allocator.allocate(2 * kPage, kLabels, a);
    const void* place = block.data();
    block.used_on(b);
    block.reset();
    CHECK(allocator.allocate(2 * kPage, kLabels, a).data() == place);
    CHECK(device.synchronizes == 1);
    CHECK(upstream.calls() == 1);
    CHECK(allocator.stats().retries == 1);
}

TEST_CASE("allocator faults: a limit below what is in use is refused, and stays") {
    FakeDevice device;
    FailingUpstream upstream;
    const Stream stream(device);
    CachingAllocator allocator(device, upstream, 10 * kPage);
    const MemoryBlock used = allocator.allocate(3 * kPage, kWork, stream);
    allocator.allocate(2 * kPage, kLabels, stream).reset();
    allocator.set_limit(5 * kPage); // fits as it is: the cache stays
    CHECK(upstream.live_bytes() == 5 * kPage);
    const auto error = error_of([&] { allocator.set_limit(3 * kPage - 1); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::invalid_argument);
    CHECK(names(error, "6291455"));
    CHECK(names(error, "6291456"));
    CHECK(allocator.stats().limit_bytes == 5 * kPage);
    allocator.set_limit(3 * kPage);
    CHECK(allocator.stats().total.reserved_bytes == 3 * kPage);
    CHECK(error_of([&] { allocator.allocate(1, kLabels, stream); }));
}

TEST_CASE("allocator faults: upstream fails at the n-th call, for every n of a trace") {
    FakeDevice device;
    const Stream a(device), b(device);
    int calls = 0; // of the trace without a fault
    for (int n = 0; n == 0 || n <= calls; ++n) {
        INFO("fails at call " << n);
        FailingUpstream upstream;
        upstream.fails = [n](int call, size_t) { return call == n; };
        int refused = 0;
        {
            CachingAllocator allocator(device, upstream, 40 * kPage);
            std::vector<MemoryBlock> blocks;
            for (uint32_t i = 0; i < 150; ++i) {
                const uint32_t random = hashed(i);
                try {
                    blocks.push_back(allocator.allocate(1 + random % (3 * kPage),
                                                        static_cast<MemoryTag>(random % 5),
                                                        random & 0x40U ? a : b));
                } catch (const OutOfMemory&) {
                    ++refused;
                }
                if (random % 5 < 2 && !blocks.empty()) {
                    MemoryBlock& block = blocks[random % blocks.size()];
                    if (block && random % 5 == 0)
                        block.used_on(b);
                    std::swap(block, blocks.back());
                    blocks.pop_back();
                }
                const AllocatorStats stats = allocator.stats();
                size_t live = 0;
                for (const MemoryBlock& block : blocks)
                    live += BlockPolicy::rounded(block.bytes());
                REQUIRE(stats.total.allocated_bytes == live);
                REQUIRE(stats.total.reserved_bytes == upstream.live_bytes());
                REQUIRE(stats.total.ooms == static_cast<uint64_t>(refused));
                REQUIRE(stats.peak_reserved_bytes <= 40 * kPage);
            }
            blocks.clear();
            FakeDevice::queue(b).finish();
            allocator.empty_cache();
            CHECK(upstream.live_bytes() == 0);
        }
        if (n == 0) {
            calls = upstream.calls();
            CHECK(calls > 20);
        }
    }
}

TEST_CASE("allocator faults: host memory fails at the n-th call, for every n of a trace") {
    const int64_t step = kSanitized ? 13 : 1; // under a sanitizer all of them take minutes
    for (const bool onwards : {false, true}) {
        CAPTURE(onwards);
        bool met = true;
        for (int64_t nth = 1; met; nth += step) {
            CAPTURE(nth);
            FakeDevice device;
            FailingUpstream upstream;
            const Stream a(device), b(device), c(device);
            {
                CachingAllocator allocator(device, upstream, 24 * kPage);
                std::vector<MemoryBlock> blocks;
                blocks.reserve(200);
                {
                    const FailingNew fault(nth, FailingNew::this_one,
                                           onwards ? FailingNew::kAlways : 1);
                    for (uint32_t i = 0; i < 90; ++i) {
                        const uint32_t random = hashed(i);
                        try {
                            blocks.push_back(allocator.allocate(1 + random % (3 * kPage),
                                                                static_cast<MemoryTag>(random % 5),
                                                                i > 60          ? c
                                                                : random & 0x40 ? a
                                                                                : b));
                        } catch (const OutOfMemory&) {
                        } catch (const std::bad_alloc&) {
                        }
                        if (random % 5 < 3 && !blocks.empty()) {
                            MemoryBlock& block = blocks[random % blocks.size()];
                            try {
                                if (random % 5 < 2)
                                    block.used_on(b);
                            } catch (const std::bad_alloc&) { // not noted, so nobody uses it
                            }
                            std::swap(block, blocks.back());
                            blocks.pop_back();
                        }
                        if (i % 30 == 29)
                            FakeDevice::queue(b).finish();
                    }
                    try {
                        allocator.empty_cache();
                    } catch (const std::bad_alloc&) {
                    }
                    met = fault.failed();
                }
                size_t live = 0;
                for (const MemoryBlock& block : blocks)
                    live += BlockPolicy::rounded(block.bytes());
                REQUIRE(allocator.stats().total.allocated_bytes == live);
                REQUIRE(allocator.stats().total.reserved_bytes == upstream.live_bytes());
                CHECK(allocator.allocate(1000, kWork, c)); // it goes on
                blocks.clear();
                FakeDevice::queue(b).finish();
                allocator.empty_cache();
                CHECK(upstream.live_bytes() == 0); // nothing is lost
                CHECK(allocator.stats().lost_blocks == 0);
                CHECK(allocator.stats().total.reserved_bytes == 0);
            }
        }
    }
}

TEST_CASE("allocator faults: streams that find no host memory are not counted as live") {
    FakeDevice device;
    FailingUpstream upstream;
    CachingAllocator allocator(device, upstream);
    const Stream stream(device);
    for (int i = 0; i < 100; ++i) {
        const FailingNew fault(1, FailingNew::this_one);
        CHECK_THROWS_AS(allocator.allocate(1, kWork, stream), std::bad_alloc);
    }
    CHECK(allocator.allocate(1, kWork, stream));
}

TEST_CASE("allocator faults: a lost device loses no block silently and stops no destructor") {
    FakeDevice device;
    FailingUpstream upstream;
    const Stream a(device), b(device);
    {
        CachingAllocator allocator(device, upstream);
        MemoryBlock guarded = allocator.allocate(1000, kLabels, a);
        guarded.used_on(b);
        guarded.reset();
        MemoryBlock block = allocator.allocate(1000, kLabels, a);
        allocator.allocate(3 * kPage, kLabels, a).reset();
        device.lost = true;
        block.used_on(b);
        block.reset();
        CHECK(allocator.stats().lost_blocks == 1);
        CHECK(allocator.stats().total.held_bytes == 2048);
        CHECK(error_of([&] { allocator.empty_cache(); })->code() == ErrorCode::device_lost);
        CHECK(error_of([&] { allocator.allocate(4 * kPage, kLabels, a); })->code() ==
              ErrorCode::device_lost);
        CHECK(allocator.stats().total.reserved_bytes == upstream.live_bytes());
    }
    CHECK(upstream.live_bytes() == 0);
}

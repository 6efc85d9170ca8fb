#include <doctest/doctest.h>

#include <cstring>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/memory/allocated_device.h"
#include "kernels/ops.h"
#include "tests/engine/fake_device.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

constexpr MemoryTag kStaging = MemoryTag::staging;

struct Bench {
    FakeDevice device;
    FailingUpstream upstream;
    Stream a{device}, b{device};
    CachingAllocator allocator{device, upstream};
    MemoryBlock take(size_t bytes, const Stream& stream, MemoryTag tag = kStaging) {
        return allocator.allocate(bytes, tag, stream);
    }
};

} // namespace

TEST_CASE("allocator: what was freed serves the same stream, without device or upstream") {
    Bench bench;
    MemoryBlock block = bench.take(1000, bench.a);
    CHECK(block.bytes() == 1000);
    CHECK(block.tag() == kStaging);
    CHECK(block.stream() == bench.a);
    CHECK(reinterpret_cast<uintptr_t>(block.data()) % 256 == 0);
    std::memset(block.data(), 1, block.bytes());
    const void* place = block.data();
    block.reset();
    CHECK_FALSE(block);
    block.reset(); // twice is nothing
    for (int i = 0; i < 10; ++i)
        CHECK(bench.take(1000, bench.a).data() == place);
    CHECK(bench.upstream.calls() == 1);
    CHECK(bench.device.records == 0);
}

TEST_CASE("allocator: a moved block is freed once") {
    Bench bench;
    MemoryBlock first = bench.take(1000, bench.a), second = bench.take(5000, bench.a);
    second = std::move(first);
    CHECK(bench.allocator.stats().total.allocated_bytes == 1024);
    MemoryBlock third = std::move(second);
    third = MemoryBlock();
    const AllocatorStats stats = bench.allocator.stats();
    CHECK(stats.total.allocated_bytes == 0);
    CHECK(stats.total.frees == 2);
    CHECK(stats.bad_frees == 0);
}

TEST_CASE("allocator: two streams and two tags share no segment") {
    Bench bench;
    const MemoryBlock a = bench.take(1000, bench.a), b = bench.take(1000, bench.b),
                      labels = bench.take(1000, bench.a, MemoryTag::labels);
    CHECK(bench.upstream.calls() == 3);
    const AllocatorStats stats = bench.allocator.stats();
    CHECK(stats.by_tag[static_cast<int>(kStaging)].reserved_bytes == 2 * kPage);
    CHECK(stats.by_tag[static_cast<int>(MemoryTag::labels)].reserved_bytes == kPage);
    CHECK(stats.total.reserved_bytes == bench.upstream.live_bytes());
}

TEST_CASE("allocator: a block used on another stream waits for that stream's event") {
    Bench bench;
    MemoryBlock block = bench.take(kPage, bench.a); // the whole segment
    const void* place = block.data();
    block.used_on(bench.b);
    block.used_on(bench.b);
    block.reset();
    CHECK(bench.device.records == 1);
    CHECK(bench.allocator.stats().total.held_bytes == kPage);
    MemoryBlock other = bench.take(kPage, bench.a);
    CHECK(other.data() != place);
    FakeDevice::queue(bench.b).finish();
    const MemoryBlock again = bench.take(kPage, bench.a);
    CHECK(again.data() == place);
    CHECK(bench.allocator.stats().total.held_bytes == 0);
    CHECK(bench.device.synchronizes == 0); // asked, never waited for
}

TEST_CASE("allocator: a guard may be on the block's own stream, and on several") {
    Bench bench;
    MemoryBlock block = bench.take(kPage, bench.a);
    block.used_on(bench.a); // the host writes it next
    block.used_on(bench.b);
    block.reset();
    FakeDevice::queue(bench.a).finish();
    bench.allocator.empty_cache();
    CHECK(bench.allocator.stats().total.held_bytes == kPage);
    FakeDevice::queue(bench.b).finish();
    CHECK(bench.allocator.empty_cache() == kPage);
    CHECK(bench.upstream.live_bytes() == 0);
}

TEST_CASE("allocator: events are made until it is warm, and then used again") {
    Bench bench;
    auto round = [&] {
        for (int i = 0; i < 3; ++i) {
            MemoryBlock block = bench.take(kPage, bench.a);
            block.used_on(bench.b);
        }
        FakeDevice::queue(bench.b).finish();
    };
    round();
    const int warm = bench.device.events;
    CHECK(warm == 3);
    for (int i = 0; i < 20; ++i)
        round();
    CHECK(bench.device.events == warm);
    CHECK(bench.allocator.stats().events == static_cast<uint64_t>(warm));
}

TEST_CASE("allocator: an idle segment goes to another stream, behind the first one's work") {
    Bench bench;
    const void* place = bench.take(3 * kPage, bench.a).data();
    MemoryBlock other = bench.take(3 * kPage, bench.b);
    CHECK(other.data() == place);
    CHECK(bench.device.waits == 1);
    other.reset();
    // To another tag of the same stream: no wait.
    CHECK(bench.take(3 * kPage, bench.b, MemoryTag::labels).data() == place);
    CHECK(bench.device.waits == 1);
    CHECK(bench.upstream.calls() == 1);
    // Where one of them is being captured there is no waiting: a new segment, and no loss.
    bench.device.begin_capture(bench.a);
    const MemoryBlock captured = bench.take(3 * kPage, bench.a);
    CHECK(bench.upstream.calls() == 2);
    CHECK(bench.allocator.stats().total.reserved_bytes == bench.upstream.live_bytes());
    bench.device.abandon_capture(bench.a);
}

TEST_CASE("allocator: a small request takes no large segment from another") {
    Bench bench;
    bench.take(30 * kPage, bench.a).reset();
    const MemoryBlock small = bench.take(100, bench.b);
    CHECK(bench.allocator.stats().by_tag[static_cast<int>(kStaging)].allocated_bytes == 256);
    CHECK(bench.upstream.live_bytes() == kPage); // and the large one was surplus
}

TEST_CASE("allocator: a replaced arena is not paid for twice") {
    Bench bench;
    for (const size_t pages : {100, 130, 170, 220, 260}) {
        const MemoryBlock arena = bench.take(pages * kPage, bench.a, MemoryTag::activations);
        CHECK(bench.upstream.live_bytes() == pages * kPage);
    }
    CHECK(bench.allocator.stats().peak_reserved_bytes == 260 * kPage);
}

TEST_CASE("allocator: empty_cache gives back what nobody uses, once the stream is there") {
    Bench bench;
    const MemoryBlock kept = bench.take(100, bench.a);
    bench.take(5 * kPage, bench.a).reset();
    FakeDevice::queue(bench.a).enqueued += 7;
    CHECK(bench.allocator.empty_cache() == 5 * kPage);
    CHECK(FakeDevice::queue(bench.a).done >= 7);
    CHECK(bench.upstream.live_bytes() == kPage);
    CHECK(bench.allocator.empty_cache() == 0);
    CHECK(bench.allocator.stats().upstream_releases == 1);
}

TEST_CASE("allocator: a retired stream's memory serves the next one at once") {
    Bench bench;
    {
        const Stream old(bench.device);
        MemoryBlock late = bench.take(kPage, old);
        bench.take(3 * kPage, old).reset();
        bench.allocator.retire(old);
        const MemoryBlock next = bench.take(3 * kPage, bench.a);
        late.reset(); // after its stream
    }
    CHECK(bench.upstream.calls() == 2);
    CHECK(bench.device.records == 0);
    CHECK(bench.allocator.empty_cache() == 4 * kPage);
}

TEST_CASE("allocator: streams come and go, 64 at a time") {
    Bench bench;
    for (int i = 0; i < 500; ++i) {
        const Stream stream(bench.device);
        CHECK(bench.take(100, stream));
        bench.allocator.retire(stream);
    }
    CHECK(bench.upstream.calls() == 1);
    std::vector<std::unique_ptr<Stream>> streams;
    for (int i = 0; i < 64; ++i) {
        streams.push_back(std::make_unique<Stream>(bench.device));
        CHECK(bench.take(100, *streams.back()));
    }
    CHECK_THROWS_AS(bench.take(100, bench.a), Error);
    bench.allocator.retire(*streams.front());
    CHECK(bench.take(100, bench.a));
}

TEST_CASE("allocator: device and upstream are called without a lock") {
    Bench bench;
    // A held lock would be waited for for ever.
    bench.device.on_call = bench.upstream.on_call = [&] {
        bench.allocator.stats();
        bench.allocator.snapshot();
    };
    MemoryBlock block = bench.take(kPage, bench.a);
    block.used_on(bench.b);
    block.reset();
    bench.take(kPage, bench.a).reset();
    bench.take(kPage, bench.b).reset();
    bench.upstream.fails = [](int, size_t bytes) { return bytes > 10 * kPage; };
    CHECK_THROWS_AS(bench.take(20 * kPage, bench.a), OutOfMemory);
    bench.allocator.empty_cache();
    bench.device.on_call = bench.upstream.on_call = [] {};
}

TEST_CASE("allocator: the snapshot is the same for the same calls, and adds up") {
    auto text = [] {
        Bench bench;
        MemoryBlock used = bench.take(1000, bench.a);
        MemoryBlock held = bench.take(2000, bench.a, MemoryTag::labels);
        held.used_on(bench.b);
        held.reset();
        const MemoryBlock other = bench.take(5 * kPage, bench.b, MemoryTag::weights);
        return bench.allocator.snapshot();
    };
    CHECK(text() == text());
    const auto json = nlohmann::json::parse(text());
    CHECK(json["device"] == "a fake");
    CHECK(json["limit_bytes"].is_null());
    CHECK(json["total"]["reserved_bytes"] == 7 * kPage);
    CHECK(json["tags"]["weights"]["allocated_bytes"] == 5 * kPage);
    CHECK(json["tags"]["labels"]["held_bytes"] == 2048);
    REQUIRE(json["pools"].size() == 3);
    CHECK(json["pools"][0]["stream"] == 0);
    CHECK(json["pools"][2]["stream"] == 1);
    CHECK(json["pools"][1]["segments"][0]["blocks"][0] == nlohmann::json({"held", 2048}));
    CHECK(json["pools"][0]["segments"][0]["blocks"][1] == nlohmann::json({"free", kPage - 1024}));
}

TEST_CASE("allocator: a dry run reserves what the real one does") {
    FakeDevice device;
    const Stream a(device), b(device);
    auto run = [&](Upstream& upstream) {
        CachingAllocator allocator(device, upstream);
        std::vector<MemoryBlock> blocks;
        for (uint32_t i = 0; i < 200; ++i) {
            const uint32_t random = hashed(i);
            blocks.push_back(allocator.allocate(1 + (hashed(random) >> (random % 12 + 8)),
                                                static_cast<MemoryTag>(random % kMemoryTags),
                                                random & 0x40U ? a : b));
            if (random % 3 == 0)
                blocks[random % blocks.size()].reset();
        }
        const AllocatorStats stats = allocator.stats();
        return std::pair(stats.total.reserved_bytes, stats.peak_reserved_bytes);
    };
    FailingUpstream real;
    DryUpstream dry;
    CHECK(run(real) == run(dry));
}

TEST_CASE("allocator: threads on streams of their own and on shared ones keep the books") {
    const auto backend = make_cpu_backend(1);
    FailingUpstream upstream;
    {
        const Stream streams[2] = {Stream(*backend), Stream(*backend)};
        CachingAllocator allocator(*backend, upstream, 64 * kPage);
        std::atomic<int> wrong{0};
        auto work = [&](uint32_t seed) {
            std::vector<MemoryBlock> mine;
            for (uint32_t i = 0; i < 1500; ++i) {
                const uint32_t random = hashed(seed * 100000 + i);
                try {
                    MemoryBlock block = allocator.allocate(size_t{1} << (random % 23),
                                                           static_cast<MemoryTag>(random % 2 + 3),
                                                           streams[random >> 31]);
                    auto* bytes = static_cast<unsigned char*>(block.data());
                    bytes[0] = bytes[block.bytes() - 1] = static_cast<unsigned char>(seed);
                    mine.push_back(std::move(block));
                } catch (const OutOfMemory&) {
                    mine.clear();
                }
                if (random % 64 == 0)
                    allocator.empty_cache();
                if (mine.size() > 8) {
                    MemoryBlock& oldest = mine[random % mine.size()];
                    const auto* bytes = static_cast<unsigned char*>(oldest.data());
                    wrong += bytes[0] != seed || bytes[oldest.bytes() - 1] != seed;
                    if (random % 8 == 0)
                        oldest.used_on(streams[random % 2]);
                    std::swap(oldest, mine.back());
                    mine.pop_back();
                }
            }
        };
        std::vector<std::thread> threads;
        for (uint32_t seed = 1; seed <= 4; ++seed)
            threads.emplace_back(work, seed);
        for (std::thread& thread : threads)
            thread.join();
        CHECK(wrong == 0);
        const AllocatorStats before = allocator.stats();
        CHECK(before.total.allocations == before.total.frees);
        CHECK(before.total.allocated_bytes == 0);
        CHECK(before.bad_frees == 0);
        CHECK(before.total.reserved_bytes == upstream.live_bytes());
        for (const Stream& stream : streams)
            backend->synchronize(StreamRef(stream));
        allocator.empty_cache();
        CHECK(upstream.live_bytes() == 0);
    }
}

TEST_CASE("allocated device: ordinary users of a device draw from the allocator") {
    const auto backend = make_cpu_backend(1);
    DeviceUpstream memory_upstream(*backend);
    PinnedUpstream pinned_upstream(*backend);
    const Stream home(*backend);
    CachingAllocator memory(*backend, memory_upstream), pinned(*backend, pinned_upstream);
    AllocatedDevice device(*backend, {memory, MemoryTag::activations}, {pinned, MemoryTag::staging},
                           home);
    {
        const Stream stream(device);
        const DeviceMemory x = make_device_memory(device, 4096);
        const PinnedMemory y = make_pinned_memory(device, 4096);
        std::memset(y.get(), 7, 4096);
        device.copy(x.get(), y.get(), 4096, CopyKind::host_to_device, stream);
        device.synchronize(StreamRef(stream));
        CHECK(static_cast<const char*>(x.get())[4095] == 7);
        CHECK(memory.stats().by_tag[static_cast<int>(MemoryTag::activations)].allocated_bytes ==
              4096);
        CHECK(pinned.stats().total.allocated_bytes == 4096);
        const MemoryBlock block = memory.allocate(100, MemoryTag::labels, stream);
    }
    CHECK(memory.stats().total.allocated_bytes == 0);
    CHECK(make_device_memory(device, 0) == nullptr);
    device.release(&device);
    CHECK(memory.stats().bad_frees == 1);
}

// Photos into slots, on the host and on the device: whichever way, the bytes are the loader's.
#include <doctest/doctest.h>

#include <atomic>
#include <barrier>
#include <cstring>
#include <fstream>
#include <iterator>
#include <numeric>
#include <thread>

#include "engine/intake.h"
#include "engine/photo.h"
#include "tests/support/cuda_backend.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

constexpr int kSide = 32;

loader::Preprocessor preprocessor() {
    loader::Preprocessor p;
    p.shortest_edge = p.crop_height = p.crop_width = kSide;
    return p;
}

Photo noise(int height, int width, uint32_t seed = 1) {
    std::vector<uint8_t> pixels(size_t{3} * height * width);
    for (uint8_t& value : pixels)
        value = static_cast<uint8_t>((seed = seed * 1664525u + 1013904223u) >> 24);
    return Photo::rgb(std::move(pixels), height, width);
}

std::vector<uint8_t> bundled_jpeg() {
    for (const auto& entry : std::filesystem::directory_iterator(
             std::filesystem::path(YEOUL_SOURCE_DIR) / "apps" / "demo" / "photos"))
        if (entry.path().extension() == ".jpg") {
            std::ifstream file(entry.path(), std::ios::binary);
            return {std::istreambuf_iterator<char>(file), {}};
        }
    throw std::runtime_error("no bundled JPEG");
}

std::vector<uint8_t> expected(const Photo& photo) {
    std::vector<uint8_t> y(size_t{3} * kSide * kSide);
    Result result;
    prepare_photo(photo, preprocessor(), {}, y.data(), result);
    return y;
}

struct Place {
    std::unique_ptr<Backend> backend;
    std::unique_ptr<Intake> intake;
    Stream compute;

    Place(std::unique_ptr<Backend> made, int slots, size_t ring_bytes)
        : backend(std::move(made)),
          intake(std::make_unique<Intake>(*backend, *backend,
                                          IntakeShape{.slots = slots,
                                                      .height = kSide,
                                                      .width = kSide,
                                                      .host = backend->properties().host_memory,
                                                      .ring_bytes = ring_bytes},
                                          preprocessor(), loader::DecodeOptions{})),
          compute(*backend) {}

    void prepare(const Photo& photo, int slot) {
        Result result;
        intake->prepare(photo, slot, result);
    }
    /// As work on a compute stream sees them.
    std::vector<uint8_t> read(const std::vector<int>& slots) {
        intake->order_before(slots, compute);
        const size_t bytes = size_t{3} * kSide * kSide;
        const PinnedMemory host = make_pinned_memory(*backend, bytes * slots.size());
        for (size_t i = 0; i < slots.size(); ++i)
            backend->copy(static_cast<uint8_t*>(host.get()) + bytes * i,
                          static_cast<uint8_t*>(intake->slots().data) + bytes * slots[i], bytes,
                          CopyKind::device_to_host, compute);
        backend->synchronize(compute);
        const auto* first = static_cast<const uint8_t*>(host.get());
        return {first, first + bytes * slots.size()};
    }
};

constexpr size_t kRing = size_t{64} << 20;

} // namespace

TEST_CASE("simt: intake: a slot holds the loader's bytes, whoever resizes") {
    std::vector<Photo> photos = {
        noise(48, 64),   noise(kSide, kSide), noise(5, 9),
        noise(400, 20),  noise(20, 400),      noise(1, 70),
        noise(301, 203), noise(900, 40),      Photo::bytes(bundled_jpeg())};
    std::vector<int> slots(photos.size());
    std::iota(slots.begin(), slots.end(), 3);
    std::vector<uint8_t> reference;
    for (const Photo& photo : photos) {
        const std::vector<uint8_t> one = expected(photo);
        reference.insert(reference.end(), one.begin(), one.end());
    }
    for (const bool host : {true, false})
        for (const size_t ring : {kRing, size_t{0}, size_t{4096}}) {
            CAPTURE(host);
            CAPTURE(ring);
            Place place(host ? make_cpu_backend(1) : make_fp16_backend(), 16, host ? 0 : ring);
            for (size_t i = 0; i < photos.size(); ++i)
                place.prepare(photos[i], slots[i]);
            CHECK((place.read(slots) == reference));
            const Intake::Counts counts = place.intake->counts();
            if (host)
                continue;
            CHECK(counts.device_resized + counts.host_resized ==
                  static_cast<int64_t>(photos.size()));
            CHECK((counts.device_resized > 0) == (ring > 0));
            CHECK((counts.host_resized == 0) == (ring == kRing));
        }
}

TEST_CASE("simt: intake: more photos than an upload takes, and a ring they do not fit at once") {
    const int count = IntakeMemory::kTasks + 40;
    Place place(make_fp16_backend(), count, size_t{256} << 10);
    for (int round = 0; round < 2; ++round) {
        std::vector<int> slots(static_cast<size_t>(count));
        std::iota(slots.begin(), slots.end(), 0);
        std::vector<uint8_t> reference;
        for (int slot : slots) {
            const Photo photo =
                noise(40 + slot % 7, 50, static_cast<uint32_t>(slot + 1000 * round));
            place.prepare(photo, slot);
            const std::vector<uint8_t> one = expected(photo);
            reference.insert(reference.end(), one.begin(), one.end());
        }
        CHECK((place.read(slots) == reference));
    }
    const Intake::Counts counts = place.intake->counts();
    CHECK(counts.device_resized > count); // both rounds used the ring
    CHECK(counts.device_resized + counts.host_resized == 2 * count);
    CHECK(counts.uploads < counts.device_resized);
}

TEST_CASE("simt: intake: photos that were given up or cut short leave room for the next") {
    Place place(make_fp16_backend(), 2, size_t{24} << 20); // a whole photo may be on its way
    const std::vector<uint8_t> whole = bundled_jpeg();
    const std::vector<uint8_t> cut(whole.begin(),
                                   whole.begin() + static_cast<ptrdiff_t>(whole.size() / 2));
    for (uint32_t i = 0; i < 40; ++i) {
        place.prepare(noise(64, 64, i), 1);
        if (i % 4 == 0) {
            Result result;
            CHECK_THROWS_AS(place.intake->prepare(Photo::bytes(cut), 0, result), Error);
        }
        if (i % 8 == 7) // otherwise nobody ever asks for it
            CHECK((place.read({1}) == expected(noise(64, 64, i))));
    }
    const int64_t before = place.intake->counts().device_resized;
    place.prepare(noise(1300, 1300), 0); // most of a fourth of the ring: nothing else is kept
    CHECK((place.read({0}) == expected(noise(1300, 1300))));
    CHECK(place.intake->counts().device_resized == before + 1);
}

TEST_CASE(
    "simt: intake: two decoders fill the ring while a stream reads what they brought before") {
    constexpr int kDecoders = 2, kRounds = 6, kSlots = 2 * kDecoders;
    Place place(make_fp16_backend(), 2 * kSlots, size_t{40} << 10); // some find the ring full
    const auto photo_of = [](int round, int slot) {
        return noise(40 + 3 * slot, 50 + 7 * round, static_cast<uint32_t>(100 * round + slot));
    };
    std::barrier turn(kDecoders + 1);
    std::atomic<int> failed = 0;
    std::vector<std::thread> decoders;
    for (int decoder = 0; decoder < kDecoders; ++decoder)
        decoders.emplace_back([&, decoder] {
            for (int round = 0; round < kRounds; ++round) {
                for (int slot = decoder; slot < kSlots; slot += kDecoders)
                    try {
                        place.prepare(photo_of(round, slot), slot + round % 2 * kSlots);
                    } catch (const std::exception&) {
                        ++failed;
                    }
                turn.arrive_and_wait();
            }
        });
    for (int round = 0; round < kRounds; ++round) {
        turn.arrive_and_wait();
        std::vector<int> slots(kSlots);
        std::iota(slots.begin(), slots.end(), round % 2 * kSlots);
        std::vector<uint8_t> reference;
        for (int slot = 0; slot < kSlots; ++slot) {
            const std::vector<uint8_t> one = expected(photo_of(round, slot));
            reference.insert(reference.end(), one.begin(), one.end());
        }
        CHECK((place.read(slots) == reference));
    }
    for (std::thread& decoder : decoders)
        decoder.join();
    CHECK(failed == 0);
    const Intake::Counts counts = place.intake->counts();
    CHECK(counts.device_resized + counts.host_resized == kRounds * kSlots);
    CHECK(counts.device_resized > 0);
}

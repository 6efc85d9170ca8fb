#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "engine/memory/block_policy.h"
#include "engine/memory/budget.h"
#include "tests/engine/fake_device.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;

namespace {

/// Takes it out for good.
std::optional<Segment> remove_idle(BlockPolicy& policy, size_t least, size_t most) {
    const std::optional<Segment> segment = policy.take_out(least, most);
    if (segment)
        policy.forget(*segment);
    return segment;
}

constexpr size_t kGranule = BlockPolicy::kGranule;
using Piece = BlockPolicy::Piece;
using State = BlockPolicy::State;

/// The rules written down without lists, classes or places: blocks by address.
class NaiveBlocks {
public:
    void add(Segment segment) {
        blocks_[segment.address] = {segment.bytes, State::free, segment.address};
    }
    size_t best_fit(size_t bytes) const {
        size_t best = 0;
        for (const auto& [address, block] : blocks_)
            if (block.state == State::free && block.bytes >= bytes &&
                (best == 0 || block.bytes < best))
                best = block.bytes;
        return best;
    }
    void take(const Piece& piece) {
        Block& block = blocks_.at(piece.address);
        const Block rest{block.bytes - piece.bytes, State::free, block.segment};
        block.bytes = piece.bytes;
        block.state = State::used;
        if (rest.bytes > 0)
            blocks_[piece.address + piece.bytes] = rest;
    }
    void hold(uintptr_t address) { blocks_.at(address).state = State::held; }
    void put(uintptr_t address) {
        auto block = blocks_.find(address);
        block->second.state = State::free;
        if (const auto after = std::next(block); after != blocks_.end() && joins(*after, *block)) {
            block->second.bytes += after->second.bytes;
            blocks_.erase(after);
        }
        if (block == blocks_.begin())
            return;
        if (const auto before = std::prev(block); joins(*before, *block)) {
            before->second.bytes += block->second.bytes;
            blocks_.erase(block);
        }
    }
    void remove(uintptr_t address) { blocks_.erase(address); }

    struct Block {
        size_t bytes = 0;
        State state = State::free;
        uintptr_t segment = 0;
        bool operator==(const Block&) const = default;
    };
    const std::map<uintptr_t, Block>& blocks() const { return blocks_; }
    size_t bytes(State state) const {
        size_t sum = 0;
        for (const auto& [address, block] : blocks_)
            sum += block.state == state ? block.bytes : 0;
        return sum;
    }

private:
    template <class Entry>
    static bool joins(const Entry& other, const Entry& self) {
        return other.second.state == State::free && other.second.segment == self.second.segment;
    }
    std::map<uintptr_t, Block> blocks_;
};

void check_equal(const BlockPolicy& policy, const NaiveBlocks& model) {
    std::map<uintptr_t, NaiveBlocks::Block> seen;
    uintptr_t end = 0;
    size_t segment = 0;
    bool whole = true; // blocks fill their segment without a gap
    policy.visit([&](const BlockPolicy::BlockView& block) {
        if (block.address == block.of.address)
            segment = block.segment;
        else
            whole = whole && block.address == end;
        end = block.address + block.bytes;
        whole = whole && block.segment == segment && end <= block.of.address + block.of.bytes;
        seen[block.address] = {block.bytes, block.state, block.of.address};
    });
    REQUIRE(whole);
    REQUIRE(seen == model.blocks());
    REQUIRE(policy.used_bytes() == model.bytes(State::used));
    REQUIRE(policy.held_bytes() == model.bytes(State::held));
    const size_t free = model.bytes(State::free);
    REQUIRE(policy.reserved_bytes() == policy.used_bytes() + policy.held_bytes() + free);
    size_t largest = 0;
    for (const auto& [address, block] : model.blocks())
        if (block.state == State::free)
            largest = std::max(largest, block.bytes);
    REQUIRE(policy.largest_free_bytes() == largest);
}

/// Sizes of every octave up to 64 MiB, many of them equal.
size_t random_size(uint32_t random) {
    const size_t octave = size_t{1} << (random % 27);
    return random & 0x8000U ? octave : octave + hashed(random) % octave;
}

} // namespace

TEST_CASE("block policy: random traces give the books of a naive model") {
    for (uint32_t seed = 1; seed <= 4; ++seed) {
        INFO("seed " << seed);
        BlockPolicy policy;
        NaiveBlocks model;
        std::vector<Piece> used, held;
        uintptr_t next = size_t{1} << 40;
        uint32_t random = hashed(seed);
        auto pick = [&](std::vector<Piece>& from) {
            random = hashed(random + 1);
            std::swap(from[random % from.size()], from.back());
            const Piece piece = from.back();
            from.pop_back();
            return piece;
        };
        for (int step = 0; step < 1500; ++step) {
            random = hashed(random + 1);
            const uint32_t choice = random % 16;
            if (choice < 8) {
                const size_t bytes = random_size(hashed(random));
                const size_t fit = model.best_fit(BlockPolicy::rounded(bytes));
                auto piece = policy.take(bytes);
                REQUIRE(piece.has_value() == (fit > 0));
                if (!piece) {
                    const Segment segment{next, BlockPolicy::segment_bytes(bytes)};
                    // Now and then without a gap: segments must not grow together.
                    next += segment.bytes + (random & 0x100U ? 0 : kPage);
                    policy.add(segment);
                    model.add(segment);
                    piece = policy.take(bytes);
                    REQUIRE(piece);
                } else {
                    REQUIRE(model.blocks().at(piece->address).bytes == fit);
                }
                REQUIRE(piece->bytes == BlockPolicy::rounded(bytes));
                REQUIRE(piece->address % kGranule == 0);
                model.take(*piece);
                used.push_back(*piece);
            } else if (choice < 13 && !used.empty()) {
                const Piece piece = pick(used);
                REQUIRE(policy.is_used(piece));
                policy.put(piece);
                model.put(piece.address);
                REQUIRE_FALSE(policy.is_used(piece));
            } else if (choice == 13 && !used.empty()) {
                held.push_back(pick(used));
                policy.hold(held.back());
                model.hold(held.back().address);
                REQUIRE_FALSE(policy.find(held.back().address));
            } else if (choice == 14 && !held.empty()) {
                const Piece piece = pick(held);
                policy.put(piece);
                model.put(piece.address);
            } else if (choice == 15) {
                const auto idle = remove_idle(policy, 0, SIZE_MAX);
                if (idle)
                    model.remove(idle->address);
                else
                    REQUIRE(policy.idle_bytes() == 0);
            }
            check_equal(policy, model);
        }
        for (const Piece& piece : used) {
            REQUIRE(policy.find(piece.address)->serial == piece.serial);
            policy.put(piece);
        }
        for (const Piece& piece : held)
            policy.put(piece);
        while (remove_idle(policy, 0, SIZE_MAX)) {
        }
        CHECK(policy.reserved_bytes() == 0);
    }
}

TEST_CASE("block policy: sizes round to granules, and none overflows") {
    CHECK(BlockPolicy::rounded(1) == kGranule);
    CHECK(BlockPolicy::rounded(kGranule) == kGranule);
    CHECK(BlockPolicy::rounded(kGranule + 1) == 2 * kGranule);
    BlockPolicy policy;
    policy.add({kPage, kPage});
    for (const size_t bytes : {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - kGranule + 1, SIZE_MAX / 2,
                               BlockPolicy::kMaxBytes + 1, BlockPolicy::kMaxBytes})
        CHECK_FALSE(policy.take(bytes));
    CHECK(policy.take(kPage));
}

TEST_CASE("block policy: small requests share a page, large ones get whole pages") {
    CHECK(BlockPolicy::segment_bytes(1) == kPage);
    CHECK(BlockPolicy::segment_bytes(kPage / 2) == kPage);
    CHECK(BlockPolicy::segment_bytes(kPage) == kPage);
    CHECK(BlockPolicy::segment_bytes(kPage + 1) == 2 * kPage);
    CHECK(BlockPolicy::segment_bytes(100 * kPage - 1) == 100 * kPage);
}

TEST_CASE("block policy: an idle segment is chosen by size") {
    BlockPolicy policy;
    for (const size_t pages : {4, 1, 2})
        policy.add({pages * 100 * kPage, pages * kPage});
    CHECK(remove_idle(policy, 5 * kPage, SIZE_MAX).has_value() == false);
    CHECK(remove_idle(policy, 0, kPage - 1).has_value() == false);
    CHECK(remove_idle(policy, kPage + 1, SIZE_MAX)->bytes == 2 * kPage);
    const auto piece = policy.take(1); // best fit: the single page
    CHECK(policy.idle_bytes() == 4 * kPage);
    CHECK(remove_idle(policy, 0, SIZE_MAX)->bytes == 4 * kPage);
    CHECK_FALSE(remove_idle(policy, 0, SIZE_MAX));
    policy.hold(*piece);
    CHECK_FALSE(remove_idle(policy, 0, SIZE_MAX)); // a held block is not gone
    policy.put(*piece);
    CHECK(remove_idle(policy, 0, SIZE_MAX)->bytes == kPage);
}

TEST_CASE("block policy: a piece put back is stale, also when its place is taken again") {
    BlockPolicy policy;
    policy.add({kPage, kPage});
    const auto first = policy.take(1000);
    policy.put(*first);
    const auto second = policy.take(1000);
    CHECK(second->address == first->address);
    CHECK_FALSE(policy.is_used(*first));
    CHECK(policy.is_used(*second));
    CHECK_FALSE(policy.find(second->address + kGranule));
}

TEST_CASE("budget: bytes are taken up to the limit, and a limit below them is refused") {
    Budget budget(100);
    CHECK(budget.take(60));
    CHECK_FALSE(budget.take(41));
    CHECK_FALSE(budget.take(SIZE_MAX));
    CHECK(budget.take(40));
    CHECK_FALSE(budget.set_limit(99));
    CHECK(budget.limit_bytes() == 100);
    budget.put(60);
    CHECK(budget.set_limit(40));
    CHECK(budget.reserved_bytes() == 40);
    CHECK(budget.peak_bytes() == 100);
    Budget open(SIZE_MAX);
    CHECK(open.take(SIZE_MAX - 1));
    CHECK_FALSE(open.take(2));
}

TEST_CASE("budget: idle bytes beyond a 32nd of the whole are surplus") {
    Budget budget(SIZE_MAX);
    CHECK(budget.take(3200));
    CHECK(budget.surplus(0, 0) == 0);
    CHECK(budget.surplus(100, 0) == 0);
    CHECK(budget.surplus(101, 0) == 1);
    CHECK(budget.surplus(200, 3200) == 0);
}

TEST_CASE("block policy: a segment that was taken out comes back as it was, or not at all") {
    BlockPolicy policy;
    policy.add({kPage, kPage});
    policy.add({4 * kPage, 2 * kPage});
    const BlockPolicy::Piece used = *policy.take(kPage + 1);
    const std::optional<Segment> out = policy.take_out(0, SIZE_MAX);
    REQUIRE(out);
    CHECK(out->address == kPage);
    CHECK_FALSE(policy.take_out(0, SIZE_MAX)); // it is out already, the other in use
    CHECK(policy.reserved_bytes() == 2 * kPage);
    CHECK(policy.idle_bytes() == 0);
    CHECK_FALSE(policy.take(kPage));
    policy.visit(
        [&](const BlockPolicy::BlockView& block) { CHECK(block.of.address == 4 * kPage); });
    policy.put_back(*out);
    CHECK(policy.reserved_bytes() == 3 * kPage);
    CHECK(policy.idle_bytes() == kPage);
    const BlockPolicy::Piece again = *policy.take(kPage);
    CHECK(again.address == kPage);
    policy.put(again);
    policy.put(used);
    CHECK(remove_idle(policy, 0, SIZE_MAX)->bytes == kPage);
    CHECK(remove_idle(policy, 0, SIZE_MAX)->bytes == 2 * kPage);
    CHECK(policy.reserved_bytes() == 0);
}

// Which piece of memory serves which request: the rules of the caching allocator and nothing else.
// No device, no clock, no lock and no memory of its own beyond its books; addresses are numbers.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace yeoul {

/// A run of addresses. What upstream gives and takes back is a segment.
struct Segment {
    uintptr_t address = 0;
    size_t bytes = 0;
};

/// The blocks of one pool. A request takes the smallest free block that holds it, which is split; a
/// block put back grows together with its free neighbours in the same segment. Free blocks lie in
/// lists by size class, 16 to an octave and one per size below 4 KiB, each list ascending: taking
/// and putting cost the same whether there are ten blocks or ten thousand.
class BlockPolicy {
public:
    /// Pieces are multiples of this and aligned to it: what `Device::allocate` promises.
    static constexpr size_t kGranule = 256;
    /// The largest request: no sum of two such sizes overflows. 64 TiB.
    static constexpr size_t kMaxBytes = size_t{1} << 46;
    /// What cudaMalloc maps at a time: a segment that is no multiple wastes the rest unseen.
    static constexpr size_t kPage = size_t{2} << 20;

    /// A piece that was taken. The serial tells it from a later one in the same place.
    struct Piece {
        uint32_t block = 0, serial = 0;
        uintptr_t address = 0;
        size_t bytes = 0;
    };
    enum class State : uint8_t {
        free,
        used,
        held, // put back by its user, and not yet to be handed out
    };
    struct BlockView {
        size_t segment; // its place in the order of adding
        Segment of;
        uintptr_t address;
        size_t bytes;
        State state;
    };

    BlockPolicy();

    /// `bytes` in whole granules. At most kMaxBytes.
    static constexpr size_t rounded(size_t bytes) {
        return (bytes + kGranule - 1) / kGranule * kGranule;
    }
    /// The segment to ask upstream for when `take(bytes)` found nothing: whole pages, whose rest
    /// serves smaller requests. Larger ones are kept by their last block: of a recorded day 16 MiB
    /// for weights wasted 10.4 %, pages 4.7 % (profiling/results/amd-epyc-avx2/allocator.md).
    static constexpr size_t segment_bytes(size_t bytes) {
        return (bytes + kPage - 1) / kPage * kPage;
    }

    /// Nothing when no free block holds `bytes`, which is positive.
    std::optional<Piece> take(size_t bytes);
    /// Whether `piece` is taken, not put back and not held.
    bool is_used(const Piece& piece) const;
    /// The used piece that starts at `address`. Walks the blocks of a segment.
    std::optional<Piece> find(uintptr_t address) const;
    /// From used to held.
    void hold(const Piece& piece);
    /// Back to the free blocks, from used or held.
    void put(const Piece& piece);

    /// Overlaps no segment that is here. Takes it or throws std::bad_alloc.
    void add(Segment segment);
    /// Takes out the smallest segment without a used or held block and of `least` to `most` bytes.
    /// Its place is kept: `put_back` or `forget` comes next.
    std::optional<Segment> take_out(size_t least, size_t most) noexcept;
    void put_back(Segment segment) noexcept;
    void forget(Segment segment) noexcept;

    size_t reserved_bytes() const { return reserved_bytes_; }
    size_t used_bytes() const { return used_bytes_; }
    size_t held_bytes() const { return held_bytes_; }
    /// Of segments without a used or held block: what could be given back.
    size_t idle_bytes() const { return idle_bytes_; }
    size_t largest_free_bytes() const;
    /// All blocks: segments in the order of adding, blocks by address.
    template <class Visit>
    void visit(Visit visit) const;

private:
    static constexpr uint32_t kNone = UINT32_MAX;
    static constexpr int kClasses = 640; // 40 octaves of granules
    struct Block {
        uintptr_t address = 0;
        size_t bytes = 0;
        uint32_t before = kNone, after = kNone;    // neighbours in the segment
        uint32_t smaller = kNone, greater = kNone; // in the list of its class
        uint32_t segment = 0, serial = 0;
        State state = State::free;
    };
    struct Entry {
        Segment segment;
        uint32_t first = kNone; // kNone: this place in the table is not in use
        uint32_t busy = 0;      // blocks used or held
        bool out = false;       // by `take_out`
        uint64_t order = 0;
    };

    static int class_of(size_t bytes);
    uint32_t best_fit(size_t bytes) const;
    uint32_t new_block();
    void drop_block(uint32_t block);
    void link(uint32_t block);
    void unlink(uint32_t block);
    void absorb_next(uint32_t block);
    Entry& taken_out(Segment segment);
    std::vector<const Entry*> ordered() const;

    std::vector<Block> blocks_;
    std::vector<uint32_t> spare_; // places of blocks_ that are not in use
    std::vector<Entry> segments_;
    std::array<uint32_t, kClasses> lists_;         // the smallest of each class
    std::array<uint64_t, kClasses / 64> filled_{}; // a bit per class that is not empty
    uint64_t added_ = 0;
    size_t reserved_bytes_ = 0, used_bytes_ = 0, held_bytes_ = 0, idle_bytes_ = 0;
};

template <class Visit>
void BlockPolicy::visit(Visit visit) const {
    size_t place = 0;
    for (const Entry* entry : ordered()) {
        for (uint32_t i = entry->first; i != kNone; i = blocks_[i].after)
            visit(BlockView{.segment = place,
                            .of = entry->segment,
                            .address = blocks_[i].address,
                            .bytes = blocks_[i].bytes,
                            .state = blocks_[i].state});
        ++place;
    }
}

} // namespace yeoul

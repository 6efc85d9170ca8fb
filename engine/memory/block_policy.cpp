#include "engine/memory/block_policy.h"

#include <algorithm>
#include <cassert>

namespace yeoul {

BlockPolicy::BlockPolicy() {
    lists_.fill(kNone);
    // A model of 24 layers has about 300 weights: no reallocation while they come.
    blocks_.reserve(512);
    spare_.reserve(512);
}

int BlockPolicy::class_of(size_t bytes) {
    const size_t granules = bytes / kGranule;
    if (granules < 16)
        return static_cast<int>(granules);
    const int octave = std::bit_width(granules) - 1;
    return (octave - 3) * 16 + static_cast<int>((granules >> (octave - 4)) & 15);
}

uint32_t BlockPolicy::best_fit(size_t bytes) const {
    const int own = class_of(bytes);
    for (uint32_t i = lists_[own]; i != kNone; i = blocks_[i].greater)
        if (blocks_[i].bytes >= bytes)
            return i;
    // In any greater class every block fits, and the first is the smallest.
    int word = (own + 1) / 64;
    uint64_t bits = filled_[word] & (~uint64_t{0} << ((own + 1) % 64));
    while (bits == 0) {
        if (++word == static_cast<int>(filled_.size()))
            return kNone;
        bits = filled_[word];
    }
    return lists_[word * 64 + std::countr_zero(bits)];
}

std::optional<BlockPolicy::Piece> BlockPolicy::take(size_t bytes) {
    assert(bytes > 0);
    if (bytes > kMaxBytes)
        return {};
    bytes = rounded(bytes);
    const uint32_t found = best_fit(bytes);
    if (found == kNone)
        return {};
    // First what can throw, and it may move blocks_.
    const uint32_t rest = blocks_[found].bytes > bytes ? new_block() : kNone;
    unlink(found);
    if (rest != kNone) {
        Block& block = blocks_[found];
        Block& tail = blocks_[rest];
        tail.address = block.address + bytes;
        tail.bytes = block.bytes - bytes;
        tail.segment = block.segment;
        tail.before = found;
        tail.after = block.after;
        if (tail.after != kNone)
            blocks_[tail.after].before = rest;
        block.after = rest;
        block.bytes = bytes;
        link(rest);
    }
    Block& block = blocks_[found];
    Entry& entry = segments_[block.segment];
    if (entry.busy++ == 0)
        idle_bytes_ -= entry.segment.bytes;
    block.state = State::used;
    used_bytes_ += bytes;
    return Piece{found, ++block.serial, block.address, bytes};
}

bool BlockPolicy::is_used(const Piece& piece) const {
    return piece.block < blocks_.size() && blocks_[piece.block].serial == piece.serial &&
           blocks_[piece.block].state == State::used;
}

std::optional<BlockPolicy::Piece> BlockPolicy::find(uintptr_t address) const {
    for (const Entry& entry : segments_) {
        if (entry.first == kNone || address - entry.segment.address >= entry.segment.bytes)
            continue;
        for (uint32_t i = entry.first; i != kNone; i = blocks_[i].after)
            if (blocks_[i].address == address && blocks_[i].state == State::used)
                return Piece{i, blocks_[i].serial, address, blocks_[i].bytes};
    }
    return {};
}

void BlockPolicy::hold(const Piece& piece) {
    assert(is_used(piece));
    blocks_[piece.block].state = State::held;
    used_bytes_ -= piece.bytes;
    held_bytes_ += piece.bytes;
}

void BlockPolicy::put(const Piece& piece) {
    uint32_t block = piece.block;
    assert(blocks_[block].serial == piece.serial && blocks_[block].state != State::free);
    (blocks_[block].state == State::used ? used_bytes_ : held_bytes_) -= piece.bytes;
    blocks_[block].state = State::free;
    ++blocks_[block].serial; // what still names the piece is stale from here on
    if (const uint32_t after = blocks_[block].after;
        after != kNone && blocks_[after].state == State::free) {
        unlink(after);
        absorb_next(block);
    }
    if (const uint32_t before = blocks_[block].before;
        before != kNone && blocks_[before].state == State::free) {
        unlink(before);
        absorb_next(before);
        block = before;
    }
    link(block);
    Entry& entry = segments_[blocks_[block].segment];
    if (--entry.busy == 0)
        idle_bytes_ += entry.segment.bytes;
}

void BlockPolicy::add(Segment segment) {
    assert(segment.bytes > 0 && segment.bytes % kGranule == 0);
    auto place = std::find_if(segments_.begin(), segments_.end(),
                              [](const Entry& entry) { return entry.first == kNone; });
    if (place == segments_.end())
        place = segments_.insert(place, Entry{});
    const uint32_t first = new_block(); // nothing below may throw
    *place = {.segment = segment, .first = first, .busy = 0, .out = false, .order = added_++};
    Block& block = blocks_[first];
    block.address = segment.address;
    block.bytes = segment.bytes;
    block.segment = static_cast<uint32_t>(place - segments_.begin());
    link(first);
    reserved_bytes_ += segment.bytes;
    idle_bytes_ += segment.bytes;
}

std::optional<Segment> BlockPolicy::take_out(size_t least, size_t most) noexcept {
    Entry* best = nullptr;
    for (Entry& entry : segments_)
        if (entry.first != kNone && !entry.out && entry.busy == 0 && entry.segment.bytes >= least &&
            entry.segment.bytes <= most &&
            (best == nullptr || entry.segment.bytes < best->segment.bytes))
            best = &entry;
    if (best == nullptr)
        return {};
    assert(blocks_[best->first].bytes == best->segment.bytes);
    unlink(best->first);
    best->out = true;
    reserved_bytes_ -= best->segment.bytes;
    idle_bytes_ -= best->segment.bytes;
    return best->segment;
}

BlockPolicy::Entry& BlockPolicy::taken_out(Segment segment) {
    const auto entry = std::find_if(segments_.begin(), segments_.end(), [&](const Entry& each) {
        return each.first != kNone && each.out && each.segment.address == segment.address;
    });
    assert(entry != segments_.end());
    return *entry;
}

void BlockPolicy::put_back(Segment segment) noexcept {
    Entry& entry = taken_out(segment);
    entry.out = false;
    link(entry.first);
    reserved_bytes_ += segment.bytes;
    idle_bytes_ += segment.bytes;
}

void BlockPolicy::forget(Segment segment) noexcept {
    Entry& entry = taken_out(segment);
    drop_block(entry.first);
    entry.first = kNone;
}

size_t BlockPolicy::largest_free_bytes() const {
    for (int word = static_cast<int>(filled_.size()) - 1; word >= 0; --word) {
        if (filled_[word] == 0)
            continue;
        uint32_t last = lists_[word * 64 + std::bit_width(filled_[word]) - 1];
        while (blocks_[last].greater != kNone)
            last = blocks_[last].greater;
        return blocks_[last].bytes;
    }
    return 0;
}

uint32_t BlockPolicy::new_block() {
    if (spare_.empty()) {
        blocks_.emplace_back();
        // Giving a place back must not fail.
        if (spare_.capacity() < blocks_.size())
            spare_.reserve(2 * blocks_.size());
        return static_cast<uint32_t>(blocks_.size() - 1);
    }
    const uint32_t block = spare_.back();
    spare_.pop_back();
    return block;
}

void BlockPolicy::drop_block(uint32_t block) {
    const uint32_t serial = blocks_[block].serial;
    blocks_[block] = Block{};
    blocks_[block].serial = serial;
    spare_.push_back(block);
}

void BlockPolicy::link(uint32_t block) {
    const int own = class_of(blocks_[block].bytes);
    uint32_t smaller = kNone, greater = lists_[own];
    while (greater != kNone && blocks_[greater].bytes < blocks_[block].bytes) {
        smaller = greater;
        greater = blocks_[greater].greater;
    }
    blocks_[block].smaller = smaller;
    blocks_[block].greater = greater;
    if (greater != kNone)
        blocks_[greater].smaller = block;
    if (smaller != kNone)
        blocks_[smaller].greater = block;
    else
        lists_[own] = block;
    filled_[own / 64] |= uint64_t{1} << (own % 64);
}

void BlockPolicy::unlink(uint32_t block) {
    Block& self = blocks_[block];
    if (self.greater != kNone)
        blocks_[self.greater].smaller = self.smaller;
    if (self.smaller != kNone) {
        blocks_[self.smaller].greater = self.greater;
    } else {
        const int own = class_of(self.bytes);
        lists_[own] = self.greater;
        if (self.greater == kNone)
            filled_[own / 64] &= ~(uint64_t{1} << (own % 64));
    }
    self.smaller = self.greater = kNone;
}

void BlockPolicy::absorb_next(uint32_t block) {
    Block& self = blocks_[block];
    const uint32_t next = self.after;
    self.bytes += blocks_[next].bytes;
    self.after = blocks_[next].after;
    if (self.after != kNone)
        blocks_[self.after].before = block;
    drop_block(next);
}

std::vector<const BlockPolicy::Entry*> BlockPolicy::ordered() const {
    std::vector<const Entry*> all;
    for (const Entry& entry : segments_)
        if (entry.first != kNone && !entry.out)
            all.push_back(&entry);
    std::sort(all.begin(), all.end(),
              [](const Entry* a, const Entry* b) { return a->order < b->order; });
    return all;
}

} // namespace yeoul

// What the lanes of a warp do together. Each lane leaves a record on its own stack and waits; the
// last of the mask to arrive computes for all.
#include <bit>

#include <immintrin.h>

#include "block.h"
#include "sanitizers.h"

namespace simt::detail {
namespace {

template <class T>
T& record(const Warp& warp, unsigned lane) {
    return *static_cast<T*>(warp.arrivals[lane].record);
}

// Calls `action(lane)` for each bit.
template <class Action>
void for_each_lane(unsigned mask, Action action) {
    for (; mask != 0; mask &= mask - 1)
        action(static_cast<unsigned>(std::countr_zero(mask)));
}

void vote(const Warp& warp, unsigned lanes) {
    unsigned result = 0;
    for_each_lane(lanes, [&](unsigned lane) { result |= record<Vote>(warp, lane).value << lane; });
    for_each_lane(lanes, [&](unsigned lane) { record<Vote>(warp, lane).result = result; });
}

void match(const Warp& warp, unsigned lanes) {
    for_each_lane(lanes, [&](unsigned lane) {
        Vote& mine = record<Vote>(warp, lane);
        for_each_lane(lanes, [&](unsigned other) {
            mine.result |= static_cast<unsigned>(record<Vote>(warp, other).value == mine.value)
                           << other;
        });
    });
}

// Fragments: PTX ISA, "Matrix Fragments for mma.m16n8k8"; lane = 4 g + t.
void mma_m16n8k8(const Warp& warp) {
    alignas(32) uint32_t a_pairs[16][4]; // (16, 8) halves
    alignas(32) uint16_t b_halves[8][8];
    alignas(32) float d[16][8];
    for (unsigned lane = 0; lane < kWarp; ++lane) {
        const auto& mine = record<MmaM16n8k8>(warp, lane);
        const unsigned g = lane / 4, t = lane % 4;
        a_pairs[g][t] = mine.a[0];
        a_pairs[g + 8][t] = mine.a[1];
        b_halves[2 * t][g] = static_cast<uint16_t>(mine.b);
        b_halves[2 * t + 1][g] = static_cast<uint16_t>(mine.b >> 16);
        d[g][2 * t] = mine.d[0];
        d[g][2 * t + 1] = mine.d[1];
        d[g + 8][2 * t] = mine.d[2];
        d[g + 8][2 * t + 1] = mine.d[3];
    }
    __m256 rows[8];
    for (int k = 0; k < 8; ++k)
        rows[k] = _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(b_halves[k])));
    for (int i = 0; i < 16; ++i) {
        alignas(32) float a[8];
        _mm256_store_ps(
            a, _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(a_pairs[i]))));
        __m256 sum = _mm256_load_ps(d[i]);
        for (int k = 0; k < 8; ++k)
            sum = _mm256_fmadd_ps(_mm256_set1_ps(a[k]), rows[k], sum);
        _mm256_store_ps(d[i], sum);
    }
    for (unsigned lane = 0; lane < kWarp; ++lane) {
        auto& mine = record<MmaM16n8k8>(warp, lane);
        const unsigned g = lane / 4, t = lane % 4;
        mine.d[0] = d[g][2 * t];
        mine.d[1] = d[g][2 * t + 1];
        mine.d[2] = d[g + 8][2 * t];
        mine.d[3] = d[g + 8][2 * t + 1];
    }
}

// "Matrix Fragments for mma.m8n8k16": four bytes of a row of a, of a column of b.
void mma_m8n8k16(const Warp& warp) {
    int8_t a[8][16], b[16][8];
    for (unsigned lane = 0; lane < kWarp; ++lane) {
        const auto& mine = record<MmaM8n8k16>(warp, lane);
        const unsigned g = lane / 4, t = lane % 4;
        for (unsigned i = 0; i < 4; ++i) {
            a[g][4 * t + i] = static_cast<int8_t>(mine.a >> 8 * i);
            b[4 * t + i][g] = static_cast<int8_t>(mine.b >> 8 * i);
        }
    }
    for (unsigned lane = 0; lane < kWarp; ++lane) {
        auto& mine = record<MmaM8n8k16>(warp, lane);
        const unsigned g = lane / 4, t = lane % 4;
        for (unsigned j = 0; j < 2; ++j)
            for (unsigned k = 0; k < 16; ++k)
                mine.d[j] += a[g][k] * b[k][2 * t + j];
    }
}

uint16_t element(const uint4& row, unsigned column) {
    const unsigned words[4] = {row.x, row.y, row.z, row.w};
    return static_cast<uint16_t>(words[column / 2] >> 16 * (column % 2));
}

} // namespace

const char* name_of(Collective op) {
    switch (op) {
    case Collective::syncwarp:
        return "__syncwarp";
    case Collective::shuffle:
        return "a shuffle";
    case Collective::vote:
        return "a vote";
    case Collective::match:
        return "a match";
    case Collective::mma_m16n8k8:
        return "mma.m16n8k8";
    case Collective::mma_m8n8k16:
        return "mma.m8n8k16";
    case Collective::ldmatrix_x2:
        return "ldmatrix.x2";
    case Collective::ldmatrix_x4:
        return "ldmatrix.x4";
    case Collective::ldmatrix_x4_trans:
        return "ldmatrix.x4.trans";
    }
    return "";
}

void BlockRunner::shuffle(Warp& warp, unsigned needed) {
    for_each_lane(needed, [&](unsigned lane) {
        Shuffle& mine = record<Shuffle>(warp, lane);
        if ((needed >> mine.source & 1) == 0)
            detail::fail("lane %u shuffles from lane %u, which does not take part (mask %08x)",
                         lane, mine.source, needed);
        mine.result = record<Shuffle>(warp, mine.source).value;
    });
}

// "ldmatrix": lane 8 m + r names row r of matrix m.
void BlockRunner::load_matrices(Warp& warp, int matrices, bool transposed) {
    const void* rows[kWarp] = {};
    for (unsigned lane = 0; lane < 8U * matrices; ++lane) {
        rows[lane] = record<LoadMatrix>(warp, lane).row;
        if (!in_shared(rows[lane]))
            detail::fail("lane %u gives ldmatrix a row outside shared memory", lane);
    }
    if (block_place.count_banks)
        banks_.add_matrices(rows, matrices, warp.arrivals[0].site);
    for (int matrix = 0; matrix < matrices; ++matrix)
        for (unsigned lane = 0; lane < kWarp; ++lane) {
            const unsigned g = lane / 4, t = lane % 4;
            const auto at = [&](unsigned row, unsigned column) {
                return element(record<LoadMatrix>(warp, 8U * matrix + row).values, column);
            };
            const unsigned low = transposed ? at(2 * t, g) : at(g, 2 * t);
            const unsigned high = transposed ? at(2 * t + 1, g) : at(g, 2 * t + 1);
            record<LoadMatrix>(warp, lane).result[matrix] = low | high << 16;
        }
}

void BlockRunner::check_meeting(const Warp& warp, const Arrival& mine, unsigned needed) {
    for_each_lane(needed, [&](unsigned lane) {
        const Arrival& other = warp.arrivals[lane];
        if (other.op != mine.op || other.mask != mine.mask)
            detail::fail("lanes of a warp meet in different functions: this one in %s with mask "
                         "%08x, lane %u in %s with mask %08x",
                         name_of(mine.op), mine.mask, lane, name_of(other.op), other.mask);
        if (other.place != mine.place)
            detail::fail("lanes of a warp meet in two places of the source: this one in the %s of "
                         "line %u, column %u, lane %u in that of line %u, column %u",
                         name_of(mine.op), mine.place.line, mine.place.column, lane,
                         other.place.line, other.place.column);
    });
}

void BlockRunner::complete(Warp& warp, Collective op, unsigned needed) {
    if (op >= Collective::mma_m16n8k8 && needed != ~0U)
        detail::fail("%s needs all 32 lanes of a warp, and has %08x", name_of(op), needed);
    switch (op) {
    case Collective::syncwarp:
        ++warp.phase;
        break;
    case Collective::shuffle:
        shuffle(warp, needed);
        break;
    case Collective::vote:
        vote(warp, needed);
        break;
    case Collective::match:
        match(warp, needed);
        break;
    case Collective::mma_m16n8k8:
        mma_m16n8k8(warp);
        break;
    case Collective::mma_m8n8k16:
        mma_m8n8k16(warp);
        break;
    case Collective::ldmatrix_x2:
        load_matrices(warp, 2, false);
        break;
    case Collective::ldmatrix_x4:
        load_matrices(warp, 4, false);
        break;
    case Collective::ldmatrix_x4_trans:
        load_matrices(warp, 4, true);
        break;
    }
}

// Only __syncwarp orders memory: shuffles and mma give no such promise, so none is told to
// ThreadSanitizer.
void BlockRunner::collective(Collective op, unsigned mask, void* data, const void* site,
                             Place place) {
    ++stats_.collectives;
    Thread& me = *thread_;
    Warp& warp = *me.warp;
    const unsigned lane = me.linear % kWarp, bit = 1U << lane;
    if ((mask & bit) == 0)
        detail::fail("%s with mask %08x, which does not name the calling lane %u", name_of(op),
                     mask, lane);
    if ((mask & warp.returned) != 0)
        detail::fail("%s with mask %08x, which names returned lanes %08x", name_of(op), mask,
                     mask & warp.returned);
    warp.arrivals[lane] = {data, site, place, mask, op};
    warp.arrived |= bit;
    char& tag = warp.tags[warp.phase % 2];
    if (op == Collective::syncwarp)
        order_before(tag);
    const unsigned needed = mask & warp.present;
    if ((warp.arrived & needed) != needed) {
        wait();
    } else {
        check_meeting(warp, warp.arrivals[lane], needed);
        complete(warp, op, needed);
        warp.arrived &= ~needed;
        for_each_lane(needed & ~bit, [&](unsigned other) { make_ready(warp.threads[other]); });
        if (random_) {
            make_ready(me);
            wait();
        }
    }
    if (op == Collective::syncwarp)
        order_after(tag);
}

void collective(Collective op, unsigned mask, void* record, Place place) {
    BlockRunner::running().collective(op, mask, record, __builtin_return_address(0), place);
}

} // namespace simt::detail

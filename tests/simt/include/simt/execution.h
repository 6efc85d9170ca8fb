// Where a thread of a kernel finds itself, and how it meets the others. The emulator fills it in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

#include "simt/language.h"

#define threadIdx (::simt::detail::thread_place->index)
#define blockIdx (::simt::detail::block_place.index)
#define blockDim (::simt::detail::block_place.block)
#define gridDim (::simt::detail::block_place.grid)
#define warpSize 32

/// T* name: the dynamic shared memory of the block. Reads as NaN until written.
#define SIMT_DYNAMIC_SHARED(T, name)                                                               \
    T* const name = reinterpret_cast<T*>(::simt::detail::block_place.dynamic_shared)
/// T name extents, in shared memory: SIMT_SHARED(float, sums, [32]). A heap block of its own for
/// each block of the grid, so that AddressSanitizer sees its ends; reads as NaN until written.
#define SIMT_SHARED(T, name, extents)                                                              \
    using simt_type_of_##name = T extents;                                                         \
    SIMT_BLOCK_LOCAL constinit ::simt::detail::SharedSlot simt_slot_of_##name = {};                \
    simt_type_of_##name& name = *static_cast<simt_type_of_##name*>(                                \
        ::simt::detail::shared_array(simt_slot_of_##name, sizeof(simt_type_of_##name)))

namespace simt::detail {

struct ThreadPlace {
    uint3 index;
    unsigned linear;
};
struct BlockPlace {
    uint3 index;
    dim3 block, grid;
    unsigned char* dynamic_shared;
    bool count_banks;
};
// initial-exec: one instruction to reach, and fibers never leave their host thread.
extern thread_local constinit const ThreadPlace* thread_place
    __attribute__((tls_model("initial-exec")));
extern thread_local constinit BlockPlace block_place __attribute__((tls_model("initial-exec")));

inline unsigned lane() {
    return thread_place->linear % 32;
}

struct SharedSlot {
    void* data;
    uint64_t block; // which the data belongs to: a number that no two blocks of a process share
};
void* shared_array(SharedSlot& slot, size_t bytes);

/// What the lanes of a warp do together, and what each of them brings to it.
enum class Collective : uint8_t {
    syncwarp,
    shuffle,
    vote,
    match,
    mma_m16n8k8,
    mma_m8n8k16,
    ldmatrix_x2,
    ldmatrix_x4,
    ldmatrix_x4_trans
};
struct Shuffle {
    uint64_t value, result;
    unsigned source;
};
struct Vote {
    unsigned value, result;
};
struct MmaM16n8k8 {
    unsigned a[2], b;
    float d[4];
};
struct MmaM8n8k16 {
    unsigned a, b;
    int d[2];
};
struct LoadMatrix {
    const void* row;
    uint4 values; // of that row
    unsigned result[4];
};
/// Where the source calls what all threads must execute at one place: a block's barrier, mma,
/// ldmatrix. None for the rest, which lanes of different branches may execute together.
struct Place {
    unsigned line = 0, column = 0;
    Place() = default;
    Place(const std::source_location& where) : line(where.line()), column(where.column()) {}
    friend bool operator==(const Place&, const Place&) = default;
};

/// Returns when every lane of `mask` has brought its record, and the last to arrive has computed
/// all results.
void collective(Collective op, unsigned mask, void* record, Place place = {});

enum class Reduction : uint8_t { none, count, all, any };
int block_barrier(Reduction reduction, int predicate, Place place);

void record_shared_access(const void* data, size_t bytes);

/// Ends the kernel with this message and where it happened.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

template <class T>
T shuffle(unsigned mask, T value, int source) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
    Shuffle record{0, 0, static_cast<unsigned>(source)};
    std::memcpy(&record.value, &value, sizeof(T));
    collective(Collective::shuffle, mask, &record);
    std::memcpy(static_cast<void*>(&value), &record.result, sizeof(T));
    return value;
}

inline unsigned vote(Collective op, unsigned mask, unsigned value) {
    Vote record{value, 0};
    collective(op, mask, &record);
    return record.result;
}

} // namespace simt::detail

namespace simt {

/// One lane's part of a vector access to shared memory, for `take_bank_stats`. Fails where `data`
/// is not aligned to `bytes`, as the access does on a GPU.
inline void count_shared_access(const void* data, size_t bytes) {
    if (reinterpret_cast<uintptr_t>(data) % bytes != 0)
        detail::fail("a vector access of %zu bytes to shared memory is not aligned", bytes);
    if (detail::block_place.count_banks)
        detail::record_shared_access(data, bytes);
}

} // namespace simt

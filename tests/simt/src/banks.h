// Bank conflicts of shared memory: 32 banks, 4 bytes wide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "simt/config.h"

namespace simt::detail {

/// Counts for one block after the other. Lanes of a warp that come to the same instruction the same
/// number of times execute it together.
class BankCounter {
public:
    void add(unsigned warp, unsigned lane, const void* data, size_t bytes, const void* site);
    /// A whole ldmatrix: `rows` of 16 bytes, 8 for each matrix.
    void add_matrices(const void* const* rows, int matrices, const void* site);
    /// No lane comes any more: counts what only a part of a warp executed.
    void end_block();
    /// Adds all to the process's sums.
    void publish();

private:
    struct Place {
        const void* site;
        unsigned warp;
        bool operator==(const Place&) const = default;
    };
    struct Hash {
        size_t operator()(const Place& place) const {
            return std::hash<const void*>()(place.site) ^ (place.warp * 0x9e3779b97f4a7c15U);
        }
    };
    struct Access { // one instruction of one warp
        const void* data[32];
        unsigned lanes = 0;
        size_t bytes = 0;
    };
    struct Progress { // of one warp at one instruction
        uint64_t times[32] = {};
        std::unordered_map<uint64_t, Access> open;
    };
    struct Site {
        size_t bytes = 0;
        BankStats stats;
    };
    void count(const Access& access, const void* site);

    std::unordered_map<Place, Progress, Hash> progress_;
    std::unordered_map<const void*, Site> sites_;
};

} // namespace simt::detail

// What a test may set and read of the emulator. None of it exists on a GPU.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace simt {

struct Config {
    bool random_order = false; // SIMT_ORDER=random: threads and blocks run in a drawn order
    uint64_t seed = 1;         // SIMT_SEED: of that order
    int workers = 0;           // SIMT_WORKERS: host threads for the blocks; 0: one per core
    bool count_banks = false;  // count bank conflicts of shared memory; not under ThreadSanitizer
    int sm_count = 40;         // of the device; a T4 has 40
    bool record_only = false;  // note kernel launches and do not run them; copies still run
};

/// The process's, at first as the environment says. Change it only while nothing runs.
Config& config();

/// What the emulator did, since the last call.
struct Stats {
    uint64_t blocks = 0, threads = 0, barriers = 0, collectives = 0, switches = 0;
};
Stats take_stats();

/// One access is one instruction of one warp. It takes a wavefront for each phase (a half-warp at
/// 8 bytes a lane, a quarter at 16, a matrix of ldmatrix), and an extra one for each further word
/// that the busiest bank must serve in a phase.
struct BankStats {
    uint64_t accesses = 0, wavefronts = 0, extra_wavefronts = 0;
};
struct BankSite {
    std::string kernel; // the function that holds the access, and how far into it
    size_t bytes = 0;   // per lane
    BankStats stats;
};
/// Sums since the last call of either.
BankStats take_bank_stats();
/// The same by place of access, the most extra wavefronts first.
std::vector<BankSite> take_bank_sites();

struct LaunchRecord {
    std::string kernel; // readable: "yeoul::cuda::(anonymous namespace)::layer_norm_kernel(...)"
    std::string symbol; // as the linker names it
    std::array<unsigned, 3> grid{}, block{};
    size_t shared_bytes = 0; // dynamic
};
/// The launches that `record_only` kept from running, in the order in which they would have run:
/// synchronize first.
std::vector<LaunchRecord> take_launches();

/// What the emulator said of the last kernel that failed or launch that was refused; empty if none.
std::string last_failure();
/// A failed kernel loses the device, as on a GPU, until this. Pending work is dropped.
void reset_device();
/// The `count`-th cudaMalloc from now on finds no memory; 0: none.
void fail_allocation(int count);
/// Asked for a kernel's attributes, which loads it, the runtime answers with this `cudaError_t`
/// from now on; 0: with success.
void refuse_kernels(int error);
/// Streams that were made and not destroyed.
int open_streams();
/// The next synchronization finds that the device is lost, and so does everything after it.
void lose_device(const char* why);

} // namespace simt

// Kernels with one planted fault each, by name.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace simt::faults {

constexpr int kThreads = 256; // of a block, where the fault asks for no other number

struct Fault {
    std::string name;
    std::function<bool()> run; // whether the result is right
};

std::vector<Fault> shared_memory_faults(); // kernels that share what they should not, or too early
std::vector<Fault> access_faults();        // out of bounds, misaligned, not written
std::vector<Fault> meeting_faults();       // barriers and warp functions
std::vector<Fault> host_faults();          // launches and reads

} // namespace simt::faults

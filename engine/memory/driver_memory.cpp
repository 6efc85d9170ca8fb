#include "engine/memory/driver_memory.h"

namespace yeoul {
namespace {

constexpr size_t kMebibyte = size_t{1} << 20;

// A context grows with the SMs. Published with CUDA 12 and 13 (llama.cpp #23604, InvokeAI #9413):
// 107 MiB at 34 SMs, 256 at 82, 555 at 188; this line gives 110, 254 and 572, and 128 for a T4.
constexpr size_t kContextBytes = 8 * kMebibyte, kContextBytesPerSm = 3 * kMebibyte;
// Our kernels for one GPU are under 4 MiB (libyeoul_cuda.so has 6 MB for all of its targets); the
// rest is room for the few that cuBLASLt loads. A guess until it is measured, and for lazy loading
// only, CUDA's default: `doctor` warns of the other.
constexpr size_t kModuleBytes = 32 * kMebibyte;
// "Around 10 KB per kernel node" (NVIDIA, cccl #3768). ViT-L/14 launches about 180 kernels.
constexpr size_t kGraphBytes = 2 * kMebibyte;

PlanLine line(const char* what, size_t bytes, bool taken) {
    return {.what = what,
            .tag = {},
            .owner = PlanLine::Owner::driver,
            .pinned = false,
            .bytes = bytes,
            .estimated = true,
            .taken = taken};
}

} // namespace

std::vector<PlanLine> driver_memory(const DeviceProperties& device, int graphs) {
    if (device.kind != "cuda")
        return {};
    return {line("context", kContextBytes + kContextBytesPerSm * device.compute_units, true),
            line("kernels and libraries", kModuleBytes, false),
            line("graphs", kGraphBytes * graphs, false)};
}

} // namespace yeoul

#include "kernels/cpu/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include <yeoul/error.h>

namespace yeoul::cpu {
namespace {

constexpr size_t kAlignment = 256; // the contract of Device::allocate
constexpr size_t kHugePage = size_t{2} << 20;

} // namespace

size_t total_memory_bytes() {
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long page_bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && page_bytes > 0 ? static_cast<size_t>(pages) * page_bytes : 0;
}

void* allocate(size_t bytes) {
    if (bytes == 0)
        return nullptr;
    // The kernel would promise more than there is and kill the process later.
    if (bytes > total_memory_bytes())
        throw OutOfMemory(bytes, "the CPU device");
    const size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
    void* data = nullptr;
    if (posix_memalign(&data, alignment, bytes) != 0)
        throw OutOfMemory(bytes, "the CPU device");
    // A refusal costs speed only.
    if (bytes >= kHugePage)
        (void)madvise(data, bytes, MADV_HUGEPAGE);
    return data;
}

void release(void* data) noexcept {
    std::free(data);
}

} // namespace yeoul::cpu

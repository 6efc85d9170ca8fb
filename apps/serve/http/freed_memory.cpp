#include "apps/serve/http/freed_memory.h"

#include <malloc.h>

namespace yeoul::serve {

void keep_freed_memory() {
#ifdef M_TRIM_THRESHOLD              // glibc; others have their own ways
    constexpr int kMapped = 8 << 20; // larger bodies are rare and go back at once
    ::mallopt(M_MMAP_THRESHOLD, kMapped);
    ::mallopt(M_TRIM_THRESHOLD, 2 * kMapped);
#endif
}

} // namespace yeoul::serve

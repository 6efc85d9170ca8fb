// What a kernel did wrong, in words.
#include <bit>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "block.h"
#include "sanitizers.h"

namespace simt::detail {

void BlockRunner::append(const char* format, ...) {
    if (error_length_ >= sizeof error_ - 1)
        return;
    va_list arguments;
    va_start(arguments, format);
    error_length_ += static_cast<size_t>(
        vsnprintf(error_ + error_length_, sizeof error_ - error_length_, format, arguments));
    va_end(arguments);
}

// The threads' stacks are left as they are, so nothing that a kernel has on them is destroyed.
void BlockRunner::fail(const char* format, va_list arguments) {
    char message[512];
    vsnprintf(message, sizeof message, format, arguments);
    const uint3 block = block_place.index, thread = thread_place->index;
    append("block (%u,%u,%u), thread (%u,%u,%u): %s", block.x, block.y, block.z, thread.x, thread.y,
           thread.z, message);
    append("; %u of %u threads returned, %u wait at a block barrier", returned_, count_,
           barrier_.arrived);
    for (unsigned i = 0; i < warps_.size(); ++i) {
        const Warp& warp = warps_[i];
        if (warp.arrived == 0)
            continue;
        const Arrival& first = warp.arrivals[std::countr_zero(warp.arrived)];
        append("; warp %u: lanes %08x wait, the first in %s with mask %08x", i, warp.arrived,
               name_of(first.op), first.mask);
    }
    order_before(block_tags_[0]);
    failed_ = true;
    switch_to(host_);
    std::abort();
}

void fail(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    BlockRunner::running().fail(format, arguments);
}

} // namespace simt::detail

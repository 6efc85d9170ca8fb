// What the C library does with the memory of bodies that were answered.
#pragma once

namespace yeoul::serve {

/// Keeps some MiB of freed memory per thread for the next body. By default glibc gives back
/// whatever is over 128 KiB at the end of a heap, and every photo of 100 kB pays for its pages
/// again: a third of the server's time.
void keep_freed_memory();

} // namespace yeoul::serve

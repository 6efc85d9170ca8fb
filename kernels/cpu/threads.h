// How many threads the math of a thread uses.
//
// oneDNN runs its loops on the OpenMP runtime it was built with. That runtime keeps the thread
// count for each calling thread, and a pool of helpers for each calling thread as long as that one
// lives; oneDNN also writes the count into a primitive when it is made. So planning and packing
// happen on a thread of their own that ends afterwards: the caller's count stays as it was, and no
// second pool is left behind. A left-behind pool makes the runtime believe that the processor is
// overcommitted, and then its helpers sleep between loops instead of waiting actively.
#pragma once

#include <functional>

namespace yeoul::cpu {

/// From here on, what the calling thread plans or runs uses `threads` threads.
void set_math_threads(int threads);

/// Runs `work` on a thread of its own whose math uses `threads` threads, and waits for it.
/// Rethrows what it throws.
void run_with_math_threads(int threads, const std::function<void()>& work);

} // namespace yeoul::cpu

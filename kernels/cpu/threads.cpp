#include "kernels/cpu/threads.h"

#include <sched.h>

#include <algorithm>
#include <exception>
#include <thread>

#include "kernels/ops.h"

// Weak: oneDNN brings its OpenMP runtime along, whichever it is, and a oneDNN built without one has
// nothing to set.
extern "C" [[gnu::weak]] void omp_set_num_threads(int threads);

namespace yeoul::cpu {

void set_math_threads(int threads) {
    if (omp_set_num_threads != nullptr)
        omp_set_num_threads(threads);
}

void run_with_math_threads(int threads, const std::function<void()>& work) {
    std::exception_ptr failure;
    std::thread worker([&] {
        try {
            set_math_threads(threads);
            work();
        } catch (...) {
            failure = std::current_exception();
        }
    });
    worker.join();
    if (failure)
        std::rethrow_exception(failure);
}

} // namespace yeoul::cpu

namespace yeoul {

int usable_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return std::max(1, CPU_COUNT(&set));
    // More cores than a cpu_set_t counts. glibc's answer does not look at the affinity.
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

} // namespace yeoul

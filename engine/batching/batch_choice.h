// Which photos go into the next batch, and in which bucket: a pure function of the queue's
// deadlines, the clock and the cost table.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "engine/batching/cost_table.h"

namespace yeoul::batching {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

/// A photo that is ready for the device.
struct Ready {
    int64_t steer_ns;    // finishing by then is wanted; not before now + t(smallest bucket);
                         // kNever when that is past and there is no deadline
    int64_t deadline_ns; // finishing later is useless; kNever without one
};

/// What arrives while a batch runs has to be served too.
struct Outlook {
    int64_t target_ns;      // how long an arriving photo may take
    double arrivals_per_ns; // lately
};

struct Choice {
    int bucket = 0;
    int photos = 0;  // that the batch takes
    int scanned = 0; // they are among the first so many of the queue; the others of these cannot
                     // meet their deadline in this batch and stay behind
};

/// 1. Of the buckets that let every photo they take finish by `steer_ns`, the one with the best
///    rate (photos / time, padding not counted), where a rate counts 1.25 times less if the head
///    of what is left could then not be served together with the rest in time, and 1.1 times less
///    if the photos that arrive meanwhile could not, which counts while the queue's head is in
///    time.
/// 2. A few urgent photos may force a rate so low that the queue never recovers. A bucket too slow
///    for them is taken all the same when it is at least 1.05 times faster and, played on over
///    the queue as it is, makes no more photos late. Late ones that have no deadline go along;
///    those with one stay behind.
/// `queue` is not empty and in order of service; each photo can finish in time in the smallest
/// bucket, that is `steer_ns` and `deadline_ns` are at least `now_ns` + t(smallest).
/// The constants are the best of ten sets over three seeds, Poisson and bursty arrivals and four
/// curves; between 1.05 and 1.25 the last moves goodput by a point at most.
/// O(queue * log + buckets * largest bucket).
Choice choose_batch(const CostTable& table, std::span<const Ready> queue, int64_t now_ns,
                    const Outlook& outlook);

} // namespace yeoul::batching

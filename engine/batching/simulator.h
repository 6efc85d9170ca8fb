// The policy on a virtual clock: decoding threads, then a device, fed by made-up traffic. Other
// policies, of the kind that products use, run beside it as arms.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/batching/arrivals.h"
#include "engine/batching/policy.h"

namespace yeoul::batching {

/// What an arm is told of the world.
struct ArmSetup {
    CostTable table; // of the batches that this arm may run
    int cores = 0;   // decoding threads; 0: photos arrive decoded
    int64_t decode_ns = 0;
    int64_t target_ns = 0;  // what every photo's time is measured against
    bool deadlines = true;  // the target is also every photo's deadline
    int64_t timeout_ns = 0; // of `best-timeout`, tried in steps by the caller
};

struct Action {
    enum Kind { wait, decode, launch, drop } kind = wait;
    int64_t until_ns = kNever; // wait: call next() again then
    uint32_t photo = 0;        // decode, drop
    std::span<const uint32_t> batch;
    int bucket = 0;
};

/// A policy as the simulator drives it; photos are numbers, counted up.
class Arm {
public:
    virtual ~Arm() = default;
    /// Photos [first, first + count) arrive; false refuses them all.
    virtual bool admit(int64_t now, uint32_t first, int count, int64_t deadline) = 0;
    virtual void decoded(int64_t now, uint32_t photo) = 0;
    virtual void batch_done(int64_t now) = 0;
    virtual Action next(int64_t now) = 0;
};

/// "single", "best-timeout", "greedy", "greedy-drop", "nexus" or "yeoul".
std::unique_ptr<Arm> make_arm(std::string_view name, const ArmSetup& setup);
std::unique_ptr<Arm> make_baseline(std::string_view name, const ArmSetup& setup);
extern const std::vector<std::string> kArms;

struct Percentiles {
    double p50_ms = 0, p95_ms = 0, p99_ms = 0;
};

struct SimulationResult {
    int64_t photos = 0, in_time = 0, dropped = 0, refused = 0, batches = 0;
    double offered_per_second = 0, served_per_second = 0;
    Percentiles photo, album;                // of those that were answered with a vector
    double mean_batch = 0, padding = 0;      // padding: share of the rows computed
    double decode_busy = 0, device_busy = 0; // share of the time
    double device_need = 0; // the same at the device's best batch: one that takes what comes in
                            // small batches is always busy, and binds nothing
    double in_time_share() const {
        return static_cast<double>(in_time) / static_cast<double>(photos);
    }
    const char* bound_by() const { return decode_busy > device_need ? "decode" : "device"; }
};

/// Plays `arrivals` to the end. Each photo is decoded, computed or dropped exactly once, and no
/// batch is larger than its bucket: anything else is our fault and throws `Error`, code `internal`.
SimulationResult simulate(Arm& arm, const ArmSetup& setup,
                          const std::vector<AlbumArrival>& arrivals);

} // namespace yeoul::batching

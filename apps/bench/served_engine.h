// The ways to serve single photos that teams try one after another, on one engine each.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "apps/bench/load.h"
#include "engine/session.h"

namespace yeoul::bench {

struct ServeMode {
    std::string name;
    int streams = 1, instances = 1;
    int batch = 0;           // the largest; 0: what the engine chooses
    bool full_batch = false; // waits until the batch is full, or for its timeout

    /// "single" (one photo at a time), "streams:N" (one photo on each of N streams), "instances:N"
    /// (N engines of one photo each in this process), "batch32" or another number (a fixed batch),
    /// "dynamic" (the engine's policy). Throws `Error`, code `invalid_argument`.
    static ServeMode parse(const std::string& name);
};

struct ServeSetup {
    EngineOptions engine;          // streams and batch size come from the mode
    double batch_timeout_ms = 100; // of a fixed batch that does not fill
    bool shared_weights = true;    // of instances
};

struct ServedMemory {
    int64_t weight_bytes = 0, allocated_bytes = 0, reserved_bytes = 0;
};

class ServedEngine final : public LoadTarget {
public:
    /// Throws as `Engine::open`.
    ServedEngine(const ServeMode& mode, const ServeSetup& setup);

    /// To the instance with the fewest photos in flight. From one thread.
    void submit(Photo photo, std::function<void(const Result&)> done) override;

    const ModelInfo& info() const { return instances_.front()->session.info(); }
    const DeviceInfo& device() const { return instances_.front()->session.device(); }
    ServedMemory memory() const; // of all instances
    struct Passes {
        int64_t photos = 0, rows = 0, passes = 0;
    };
    Passes passes() const; // of all instances, since they were opened

private:
    struct Instance {
        template <class... Arguments>
        explicit Instance(Arguments&&... arguments)
            : session(std::forward<Arguments>(arguments)...) {}
        std::atomic<int> in_flight = 0;
        Session session; // last: it answers what is in flight
    };
    /// The first holds the weights of the others: it goes last.
    struct Instances : std::vector<std::unique_ptr<Instance>> {
        ~Instances() {
            while (!empty())
                pop_back();
        }
    };
    Instances instances_;
};

} // namespace yeoul::bench

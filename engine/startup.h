// From options to what an engine needs before its first photo.
#pragma once

#include "engine/lane.h"
#include "engine/memory/plan.h"

namespace yeoul {

/// Options that were checked, and the device that they name.
struct Resolved {
    std::unique_ptr<Backend> backend;
    PlanRequest request;
    int threads = 1; // of the host
};
/// Throws `Error`: `invalid_argument` for an option out of range, `device` for what this machine
/// lacks.
Resolved resolve(const EngineOptions& options);

/// A model and its lanes on memory that was planned. Members end in the order that they need.
struct Prepared {
    MemoryPlan plan;
    std::unique_ptr<EngineMemory> memory;
    OpenedModel opened;
    std::vector<std::unique_ptr<Lane>> lanes;
};
/// Plans, then loads and prepares. Afterwards `memory` holds what the plan says and may hold no
/// more. `backend` outlives what is made. Throws `Error`, code `out_of_memory`, with the plan's
/// sentence, when the plan does not fit or the device gives less than it said; else as
/// `open_model`. Nothing is left behind then.
Prepared prepare(Backend& backend, const PlanRequest& request);

} // namespace yeoul

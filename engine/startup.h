// From options to what an engine needs before its first photo.
#pragma once

#include "engine/memory/plan.h"
#include "engine/pipeline.h"
#include "engine/text_side.h"

namespace yeoul {

/// Throws `invalid_argument` for an option out of range.
void require_valid(const EngineOptions& options);

/// The backend that `options` name, with its share of the threads. Throws as `make_backend`.
std::unique_ptr<Backend> open_backend(const EngineOptions& options);

/// What `options` ask of `backend`. Throws `device` for a precision that it lacks.
PlanRequest plan_request(const Backend& backend, const EngineOptions& options);

/// A model and its pipeline on memory that was planned. Members end in the order that they need.
struct Prepared {
    MemoryPlan plan;
    std::unique_ptr<EngineMemory> memory;
    /// Of what comes and goes while photos are served, which takes nothing then: the text side with
    /// its labels, searches for duplicates.
    std::unique_ptr<EngineMemory> changing;
    OpenedModel opened;
    std::unique_ptr<TextSide> text; // none without `PlanRequest::text`
    std::unique_ptr<Pipeline> pipeline;
    std::optional<batching::CostTable> costs; // of the graphs
};
/// Plans, then loads and prepares; times the buckets when no table says what they cost, and writes
/// it. Afterwards `memory` and `changing` hold what the plan says. `memory` may hold no more, and
/// `changing` what a given budget leaves. `backend` outlives what
/// is made. Throws `Error`, code `out_of_memory`, with the plan's sentence, when the plan does not
/// fit or the device gives less than it said; else as `open_model`. Nothing is left behind then.
Prepared prepare(Backend& backend, const PlanRequest& request,
                 const loader::DecodeOptions& decode = {},
                 const std::function<void(LogLevel, std::string_view)>& log = {});

/// Another pipeline on the model and the costs of `first`, which outlives it: the weights are
/// shared, slots, activations, graphs and streams are its own. Its `plan` is empty and its `memory`
/// holds no weights. `backend` and `request` are those of `first`, but that `batches` may name some
/// of its batches. Throws `OutOfMemory`.
Prepared prepare_beside(Backend& backend, const Prepared& first, const PlanRequest& request,
                        const loader::DecodeOptions& decode = {});

} // namespace yeoul

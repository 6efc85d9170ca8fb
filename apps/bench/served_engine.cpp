#include "apps/bench/served_engine.h"

#include <algorithm>
#include <charconv>

#include "engine/backends.h"

namespace yeoul::bench {
namespace {

/// The number behind `prefix`; 0 of anything else.
int number_after(const std::string& name, const std::string& prefix, int most) {
    if (!name.starts_with(prefix))
        return 0;
    int number = 0;
    const char *first = name.data() + prefix.size(), *last = name.data() + name.size();
    const auto [end, error] = std::from_chars(first, last, number);
    return error == std::errc() && end == last && number >= 1 && number <= most ? number : 0;
}

EngineOptions options_of(const ServeMode& mode, const ServeSetup& setup) {
    EngineOptions options = setup.engine;
    const int threads = options.threads > 0 ? options.threads : usable_cores();
    options.threads = std::max(1, threads / mode.instances);
    options.streams = mode.streams;
    if (mode.batch > 0)
        options.batch_size = mode.batch;
    if (mode.full_batch)
        options.latency_target_ms = setup.batch_timeout_ms;
    return options;
}

} // namespace

ServeMode ServeMode::parse(const std::string& name) {
    ServeMode mode{.name = name};
    if (name == "dynamic")
        return mode;
    mode.batch = 1;
    if (name == "single")
        return mode;
    if (const int streams = number_after(name, "streams:", 4)) {
        mode.streams = streams;
        return mode;
    }
    if (const int instances = number_after(name, "instances:", 16)) {
        mode.instances = instances;
        return mode;
    }
    mode.batch = number_after(name, "batch", 1024);
    mode.full_batch = true;
    YEOUL_REQUIRE(mode.batch > 1, "--mode is '" << name
                                                << "', must be single, streams:N (1 to 4), "
                                                   "instances:N (1 to 16), batchN (2 to 1024) or "
                                                   "dynamic");
    return mode;
}

ServedEngine::ServedEngine(const ServeMode& mode, const ServeSetup& setup) {
    const EngineOptions options = options_of(mode, setup);
    require_valid(options);
    for (int i = 0; i < mode.instances; ++i)
        if (i > 0 && setup.shared_weights)
            instances_.push_back(std::make_unique<Instance>(instances_.front()->session, options));
        else
            instances_.push_back(std::make_unique<Instance>(
                open_backend(options), options,
                MeasuringOptions{.batches = {}, .full_batches = mode.full_batch}));
}

void ServedEngine::submit(Photo photo, std::function<void(const Result&)> done) {
    Instance& least =
        **std::min_element(instances_.begin(), instances_.end(), [](const auto& a, const auto& b) {
            return a->in_flight < b->in_flight;
        });
    ++least.in_flight;
    Request request;
    request.photos.push_back(std::move(photo));
    least.session.submit(std::move(request),
                         [&least, done = std::move(done)](std::vector<Result> results) {
                             --least.in_flight;
                             done(results.front());
                         });
}

ServedMemory ServedEngine::memory() const {
    ServedMemory memory;
    for (const auto& instance : instances_)
        for (const MemoryUse& use : instance->session.stats().memory) {
            memory.allocated_bytes += use.allocated_bytes;
            memory.reserved_bytes += use.reserved_bytes;
            if (use.tag == "weights")
                memory.weight_bytes += use.allocated_bytes;
        }
    return memory;
}

ServedEngine::Passes ServedEngine::passes() const {
    Passes passes;
    for (const auto& instance : instances_)
        for (const EngineStats::Bucket& bucket : instance->session.stats().buckets) {
            passes.photos += bucket.photos;
            passes.rows += bucket.replays * bucket.batch;
            passes.passes += bucket.replays;
        }
    return passes;
}

} // namespace yeoul::bench

// engine-bench scheduler: the scheduler's threads round a device that computes nothing.
#include <chrono>
#include <ctime>
#include <iostream>
#include <memory>
#include <semaphore>
#include <sstream>

#include "apps/bench/commands.h"
#include "apps/bench/empty_stages.h"
#include "apps/bench/environment.h"
#include "apps/bench/load.h"
#include "apps/bench/report.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/table.h"
#include "engine/batching/goodput.h"
#include "engine/batching/scheduler.h"

namespace yeoul::bench {
namespace {

using namespace batching;

struct SchedulerFlags {
    std::vector<std::string> curves = {"t4-b32", "t4-b16"}, traffic = {"poisson", "bursty"};
    std::vector<int> loads = {50, 80};
    int cores = 16, photo_ms = 5, target = 25, seconds = 10, rounds = 3;
    int64_t photos = 100'000, seed = 1;
    bool deadlines = false;
};

constexpr int kDim = 512;
/// As an engine on a GPU: the next pass is there before the last one ends.
constexpr int64_t kLeadNs = 300'000;

// ---- host time

double process_cpu_us() {
    timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return 1e6 * static_cast<double>(time.tv_sec) + 1e-3 * static_cast<double>(time.tv_nsec);
}

struct HostTime {
    double cpu_us = 0, wall_us = 0; // per photo
    double mean_batch = 0;
};

/// Photos one by one, as many as the queue takes, through full passes of `batch` that take no time:
/// the processor's time of every thread, the caller's included.
HostTime saturate(int batch, int64_t photos) {
    photos = (photos + batch - 1) / batch * batch;
    const CostTable table(std::vector<BatchCost>{{batch, 1.0}});
    PolicyConfig config;
    config.max_wait_ns = kNever;
    config.full_batches = true;
    config.latency_target_ns = 3'600'000'000'000; // nobody is due
    constexpr int kMostInFlight = 1024;
    std::counting_semaphore<kMostInFlight> room(kMostInFlight); // outlives who releases it
    EmptyStages stages(table, config.streams, kDim, 0, false);
    Scheduler scheduler(stages, {config, table, kDim, {}});
    const std::vector<uint8_t> encoded(1);
    const double cpu = process_cpu_us();
    const auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < photos; ++i) {
        room.acquire();
        Request request;
        request.photos.push_back(Photo::bytes(encoded));
        scheduler.submit(std::move(request), [&room](std::vector<Result>) { room.release(); });
    }
    for (int i = 0; i < kMostInFlight; ++i)
        room.acquire();
    const std::chrono::duration<double, std::micro> wall = std::chrono::steady_clock::now() - start;
    const auto count = static_cast<double>(photos);
    const EngineStats stats = scheduler.stats();
    return {(process_cpu_us() - cpu) / count, wall.count() / count,
            static_cast<double>(stats.photos) / static_cast<double>(stats.batches)};
}

std::string host_times(const SchedulerFlags& flags) {
    std::vector<std::vector<std::string>> rows;
    std::vector<double> ones, full;
    double mean_full = 1;
    for (const int batch : {1, 8, 64}) {
        std::vector<double> cpu, wall;
        HostTime last;
        for (int round = 0; round < flags.rounds; ++round) {
            last = saturate(batch, flags.photos);
            cpu.push_back(last.cpu_us);
            wall.push_back(last.wall_us);
        }
        (batch == 1 ? ones : full) = cpu;
        mean_full = last.mean_batch;
        const Summary summary = summarize(cpu);
        rows.push_back({std::to_string(batch), cli::fixed(last.mean_batch, 1),
                        cli::fixed(summary.median, 2), cli::fixed(summary.least, 2),
                        cli::fixed(100 * summary.spread, 1) + " %",
                        cli::fixed(summarize(wall).median, 2)});
    }
    // cpu = photo + pass / batch, from the two ends.
    const double one = summarize(ones).median, many = summarize(full).median;
    const double pass = (one - many) / (1 - 1 / mean_full);
    return cli::markdown_table({{"batch", 0, true},
                                {"mean batch", 0, true},
                                {"CPU us / photo", 0, true},
                                {"min", 0, true},
                                {"spread", 0, true},
                                {"wall us / photo", 0, true}},
                               rows) +
           "\nHost time: " + cli::fixed(one - pass, 2) + " us a photo and " + cli::fixed(pass, 2) +
           " us a pass, on all threads together.\n";
}

// ---- the simulator

class SchedulerTarget final : public LoadTarget {
public:
    SchedulerTarget(Scheduler& scheduler, int64_t deadline_ns)
        : scheduler_(scheduler), deadline_ns_(deadline_ns) {}

    void submit(Photo photo, std::function<void(const Result&)> done) override {
        Request request;
        request.photos.push_back(std::move(photo));
        if (deadline_ns_ > 0)
            request.deadline =
                std::chrono::steady_clock::now() + std::chrono::nanoseconds(deadline_ns_);
        scheduler_.submit(std::move(request),
                          [done = std::move(done)](std::vector<Result> r) { done(r.front()); });
    }

private:
    Scheduler& scheduler_;
    int64_t deadline_ns_;
};

struct Trace {
    std::string curve, traffic;
    int load = 0;
};

struct Side { // of the comparison
    double per_second = 0, in_time = 0, mean_batch = 0;
    Percentiles times;
};

Side simulated(const ArmSetup& setup, const std::vector<AlbumArrival>& arrivals) {
    const auto arm = make_arm("yeoul", setup);
    const SimulationResult result = batching::simulate(*arm, setup, arrivals);
    return {result.served_per_second, result.in_time_share(), result.mean_batch, result.photo};
}

Side threaded(const ArmSetup& setup, const std::vector<AlbumArrival>& arrivals) {
    PolicyConfig config;
    config.decode_workers = setup.cores;
    config.latency_target_ns = setup.target_ns;
    config.max_wait_ns = kNever;
    config.lead_ns = kLeadNs;
    EmptyStages stages(setup.table, config.streams, kDim, setup.decode_ns, true);
    Scheduler scheduler(stages, {config, setup.table, kDim, {}});
    SchedulerTarget target(scheduler, setup.deadlines ? setup.target_ns : 0);
    // Of a file that was not opened yet, the scheduler expects 5 ms of decoding.
    const LoadPlan plan{.photos = {Photo::file("empty")},
                        .clients = 0,
                        .arrivals = arrivals,
                        .warmup_seconds = 0,
                        .seconds = static_cast<double>(arrivals.back().at_ns) / 1e9 + 1};
    const LoadResult result = put_load(target, plan);
    const EngineStats stats = scheduler.stats();
    Side side;
    const auto target_ms = static_cast<double>(setup.target_ns) / 1e6;
    double in_time = 0;
    for (double ms : result.latencies_ms)
        in_time += ms <= target_ms;
    side.per_second = result.per_second;
    side.in_time = in_time / static_cast<double>(arrivals.size());
    side.mean_batch =
        static_cast<double>(stats.photos - stats.failed) / static_cast<double>(stats.batches);
    side.times = {percentile(result.latencies_ms, 0.5), percentile(result.latencies_ms, 0.95),
                  percentile(result.latencies_ms, 0.99)};
    return side;
}

/// "12.3 / 12.1 (+1.7 %)": threads, simulator.
std::string both(double threads, double simulator, int decimals) {
    const double percent = 100 * (threads / simulator - 1);
    return cli::fixed(threads, decimals) + " / " + cli::fixed(simulator, decimals) + " (" +
           (percent >= 0 ? "+" : "") + cli::fixed(percent, 1) + " %)";
}

std::string comparison(const SchedulerFlags& flags) {
    std::vector<std::vector<std::string>> rows;
    for (const std::string& curve : flags.curves)
        for (const std::string& name : flags.traffic)
            for (const int load : flags.loads) {
                const std::vector<BatchCost> costs = named_curve(curve);
                ArmSetup setup{.table = CostTable(pareto(costs)),
                               .cores = flags.cores,
                               .decode_ns = int64_t{1'000'000} * flags.photo_ms,
                               .target_ns = flags.target * CostTable(costs).ns(0),
                               .deadlines = flags.deadlines,
                               .timeout_ns = 0};
                const double most =
                    std::min(setup.table.best_per_second(), 1e3 * flags.cores / flags.photo_ms);
                const double rate = most * load / 100;
                const std::vector<AlbumArrival> trace = arrivals(
                    name == "bursty" ? Traffic::bursty : Traffic::poisson, rate,
                    static_cast<int64_t>(rate * flags.seconds), static_cast<uint64_t>(flags.seed));
                const Side sim = simulated(setup, trace), real = threaded(setup, trace);
                rows.push_back({curve, name, std::to_string(load) + " %",
                                both(real.per_second, sim.per_second, 0),
                                both(100 * real.in_time, 100 * sim.in_time, 1),
                                both(real.mean_batch, sim.mean_batch, 2),
                                both(real.times.p50_ms, sim.times.p50_ms, 1),
                                both(real.times.p95_ms, sim.times.p95_ms, 1),
                                both(real.times.p99_ms, sim.times.p99_ms, 1)});
            }
    return cli::markdown_table({{"curve"},
                                {"arrivals"},
                                {"load", 0, true},
                                {"photos/s", 0, true},
                                {"in time %", 0, true},
                                {"mean batch", 0, true},
                                {"p50 ms", 0, true},
                                {"p95 ms", 0, true},
                                {"p99 ms", 0, true}},
                               rows);
}

int measure(const SchedulerFlags& flags) {
    std::cout << host_times(flags) << '\n';
    if (flags.seconds > 0)
        std::cout << "Threads / simulator, the same trace: " << flags.cores
                  << " decoding threads that sleep " << flags.photo_ms
                  << " ms a photo, passes that "
                  << "sleep as long as the curve says, a target of " << flags.target << " t(1), "
                  << (flags.deadlines ? "every photo's deadline" : "no deadlines") << ", "
                  << flags.seconds << " s each.\n\n"
                  << comparison(flags) << '\n';
    std::string machine;
    for (const auto& [name, value] : environment())
        machine += (machine.empty() ? "" : "; ") + name + " " + value;
    std::cout << machine << '\n';
    return cli::kDone;
}

} // namespace

cli::Command scheduler_command() {
    auto flags = std::make_shared<SchedulerFlags>();
    cli::Command command(
        "scheduler",
        "The scheduler with its threads round a device that computes nothing: the processor's time "
        "per photo and per pass, and how far real threads are from the simulator on the same "
        "trace. Needs no model.",
        "engine-bench scheduler\n"
        "engine-bench scheduler --seconds 0 --photos 1000000    # host time only\n"
        "engine-bench scheduler --curves t4-b32 --deadlines --loads 80");
    command
        .number("photos", "N", "photos of each measurement of host time (default: 100000)",
                flags->photos, 1000, 100'000'000)
        .number("rounds", "N", "of each measurement of host time (default: 3)", flags->rounds, 1,
                1000)
        .selection("curves", "time per batch (default: t4-b32,t4-b16)", flags->curves, kCurves)
        .selection("arrivals", "poisson, bursty (default: both)", flags->traffic,
                   {"poisson", "bursty"})
        .numbers("loads", "PERCENT,...", "of what the slower stage can do (default: 50,80)",
                 flags->loads, 1, 150)
        .number("cores", "N", "decoding threads (default: 16)", flags->cores, 1, 256)
        .number("photo-ms", "N", "that a decoding thread sleeps for a photo (default: 5)",
                flags->photo_ms, 1, 1000)
        .number("target", "N", "latency target, in times of a batch of one (default: 25)",
                flags->target, 1, 100000)
        .toggle("deadlines", "the target is every photo's deadline (default: no)", flags->deadlines,
                true)
        .number("seconds", "N", "of each trace; 0: none (default: 10)", flags->seconds, 0, 100000)
        .number("seed", "N", "of the traffic (default: 1)", flags->seed, 0, int64_t{1} << 62);
    command.run([flags] { return measure(*flags); });
    return command;
}

} // namespace yeoul::bench

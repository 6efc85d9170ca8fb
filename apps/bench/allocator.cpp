// engine-bench allocator: what a request for memory costs, and how much a day of them wastes.
#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <memory>
#include <numeric>
#include <thread>

#include "apps/bench/allocator_record.h"
#include "apps/bench/allocator_trace.h"
#include "apps/bench/commands.h"
#include "apps/bench/environment.h"
#include "apps/bench/output.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/table.h"
#include "engine/backends.h"

namespace yeoul::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kMebibyte = 1 << 20;

struct AllocatorFlags {
    std::string trace; // empty: all of kTraces
    RecordFlags record;
    int repetitions = 10, pairs = 20000;
    OutputFlags output;
};

/// Of CLIP ViT-B/32 and the bundled model on a CPU, and of the bundled one on an emulated GPU.
constexpr const char* kTraces[] = {YEOUL_SOURCE_DIR "/apps/bench/traces/cpu.trace",
                                   YEOUL_SOURCE_DIR "/apps/bench/traces/cuda.trace"};

double ns_since(Clock::time_point start) {
    return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

double quantile(std::vector<double>& samples, double q) {
    const auto at =
        samples.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(samples.size() - 1));
    std::nth_element(samples.begin(), at, samples.end());
    return *at;
}

/// What reading the clock adds to each timed call: its median is taken off.
double clock_ns() {
    std::vector<double> samples(20000);
    for (double& sample : samples)
        sample = ns_since(Clock::now());
    return quantile(samples, 0.5);
}

/// One way to get memory and free it again, on a stream: 0 or 1.
struct Subject {
    std::string name;
    std::function<void(size_t bytes, int stream)> pair;
};

/// Sizes of the customers: a table of photos, labels, and a batch of vectors.
constexpr size_t kSizes[] = {64 << 10, 6 << 20};

/// Rounds of `count` samples; `sample` times one call, in nanoseconds.
template <class Sample>
void time_rounds(Measurement& measurement, const AllocatorFlags& flags, int count, double clock,
                 const Sample& sample) {
    std::vector<double> medians, p99s, all(static_cast<size_t>(count));
    for (int round = 0; round < flags.repetitions; ++round) {
        for (double& ns : all)
            ns = std::max(0.0, sample() - clock);
        medians.push_back(quantile(all, 0.5));
        p99s.push_back(quantile(all, 0.99));
        measurement.samples_ms.push_back(medians.back() * 1e-6);
    }
    measurement.values = {{"median ns", quantile(medians, 0.5), 0},
                          {"p99 ns", quantile(p99s, 0.5), 0},
                          {"least p99 ns", quantile(p99s, 0), 0}};
}

Measurement measure_pairs(const Subject& subject, size_t bytes, const AllocatorFlags& flags,
                          double clock) {
    Measurement measurement;
    measurement.key = {{"what", "allocate and free"},
                       {"by", subject.name},
                       {"size", std::to_string(bytes >> 10) + " KiB"}};
    // Ten thousandths of the time for what takes a thousand times as long.
    const Clock::time_point trial = Clock::now();
    for (int i = 0; i < 20; ++i)
        subject.pair(bytes, 0);
    const int pairs =
        std::clamp(static_cast<int>(2e8 / (ns_since(trial) / 20 + 1)), 100, flags.pairs);
    time_rounds(measurement, flags, pairs, clock, [&] {
        const Clock::time_point start = Clock::now();
        subject.pair(bytes, 0);
        return ns_since(start);
    });
    return measurement;
}

/// A hit alone: the block is freed after the clock was read.
Measurement measure_hits(CachingAllocator& cache, StreamRef stream, size_t bytes,
                         const AllocatorFlags& flags, double clock) {
    Measurement measurement;
    measurement.key = {
        {"what", "allocate"}, {"by", "yeoul"}, {"size", std::to_string(bytes >> 10) + " KiB"}};
    cache.allocate(bytes, MemoryTag::staging, stream).reset(); // from here on it hits
    time_rounds(measurement, flags, flags.pairs, clock, [&] {
        const Clock::time_point start = Clock::now();
        const MemoryBlock block = cache.allocate(bytes, MemoryTag::staging, stream);
        return ns_since(start);
    });
    return measurement;
}

double thread_cpu_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return 1e9 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec);
}

struct Rate {
    double pairs_per_s = 0; // of all threads together
    double cpu_ns = 0;      // of a pair: tells contention from a busy machine
};
/// Each thread on a stream of its own.
Rate rate(const Subject& subject, int threads, int pairs) {
    std::vector<double> cpu(threads);
    std::barrier start(threads + 1), stop(threads + 1);
    std::vector<std::thread> workers;
    for (int i = 0; i < threads; ++i)
        workers.emplace_back([&, i] {
            start.arrive_and_wait();
            const double begin = thread_cpu_ns();
            for (int pair = 0; pair < pairs; ++pair)
                subject.pair(kSizes[0], i);
            cpu[i] = thread_cpu_ns() - begin;
            stop.arrive_and_wait();
        });
    start.arrive_and_wait();
    const Clock::time_point begin = Clock::now();
    stop.arrive_and_wait();
    const double ns = ns_since(begin);
    for (std::thread& worker : workers)
        worker.join();
    return {1e9 * threads * pairs / ns,
            std::accumulate(cpu.begin(), cpu.end(), 0.0) / threads / pairs};
}

Measurement measure_threads(const Subject& subject, const AllocatorFlags& flags) {
    Measurement measurement;
    measurement.key = {{"what", "two threads"}, {"by", subject.name}, {"size", "64 KiB"}};
    std::vector<double> ratios, cpu_one, cpu_two;
    double best_one = 0, best_two = 0;
    for (int round = 0; round < flags.repetitions; ++round) { // side by side in time
        const Rate one = rate(subject, 1, 20 * flags.pairs),
                   two = rate(subject, 2, 20 * flags.pairs);
        ratios.push_back(two.pairs_per_s / one.pairs_per_s);
        best_one = std::max(best_one, one.pairs_per_s);
        best_two = std::max(best_two, two.pairs_per_s);
        cpu_one.push_back(one.cpu_ns);
        cpu_two.push_back(two.cpu_ns);
        measurement.samples_ms.push_back(1e3 / two.pairs_per_s);
    }
    measurement.values = {
        {"ratio", quantile(ratios, 0.5), 2},        {"ratio of the best", best_two / best_one, 2},
        {"one, M/s", best_one * 1e-6, 2},           {"two, M/s", best_two * 1e-6, 2},
        {"one, CPU ns", quantile(cpu_one, 0.5), 1}, {"two, CPU ns", quantile(cpu_two, 0.5), 1}};
    return measurement;
}

/// The whole trace; `take` and `put` get the step and the place of the block's pointer or handle.
template <class Block, class Take>
double replay_ms(const Trace& trace, Take take) {
    std::vector<Block> blocks(trace.blocks);
    const Clock::time_point start = Clock::now();
    for (const TraceStep& step : trace.steps)
        if (step.bytes > 0)
            blocks[step.block] = take(step);
        else
            blocks[step.block] = Block();
    return ns_since(start) * 1e-6;
}

struct FreeMemory {
    void operator()(void* data) const { std::free(data); }
};
struct ReleaseMemory {
    Device* device = nullptr;
    void operator()(void* data) const { device->release(data); }
};

std::vector<Measurement> measure_trace(const std::string& file, Device& device,
                                       const AllocatorFlags& flags) {
    const Trace trace = read_trace(file);
    std::vector<Measurement> all;
    for (const std::string by : {"yeoul", "malloc", "device"}) {
        Measurement& measurement = all.emplace_back();
        measurement.key = {{"what", "trace"},
                           {"by", by},
                           {"size", std::filesystem::path(file).filename().string()}};
        for (int i = 0; i < flags.repetitions; ++i) {
            double ms = 0;
            if (by == "yeoul") {
                DeviceUpstream upstream(device);
                std::vector<std::unique_ptr<Stream>> streams;
                for (int s = 0; s < trace.streams; ++s)
                    streams.push_back(std::make_unique<Stream>(device));
                CachingAllocator allocator(device, upstream);
                ms = replay_ms<MemoryBlock>(trace, [&](const TraceStep& step) {
                    return allocator.allocate(step.bytes, step.tag, *streams[step.stream]);
                });
            } else if (by == "malloc") {
                ms = replay_ms<std::unique_ptr<void, FreeMemory>>(trace, [](const TraceStep& step) {
                    return std::unique_ptr<void, FreeMemory>(std::malloc(step.bytes));
                });
            } else {
                ms = replay_ms<std::unique_ptr<void, ReleaseMemory>>(
                    trace, [&](const TraceStep& step) {
                        return std::unique_ptr<void, ReleaseMemory>(device.allocate(step.bytes),
                                                                    {&device});
                    });
            }
            measurement.samples_ms.push_back(ms);
        }
        const Summary summary = summarize(measurement.samples_ms);
        measurement.values = {
            {"ns/step", summary.median * 1e6 / static_cast<double>(trace.steps.size()), 0}};
    }
    const ReplayResult result = replay_dry(trace, device);
    const AllocatorStats& stats = result.stats;
    const std::vector<Measurement::Value> waste = {
        {"steps", static_cast<double>(trace.steps.size()), 0},
        {"peak asked MiB", static_cast<double>(trace.peak_bytes) / kMebibyte, 1},
        {"peak reserved MiB", static_cast<double>(stats.peak_reserved_bytes) / kMebibyte, 1},
        {"fragmentation %", 100 * result.peak_waste, 2},
        {"mean waste %", 100 * result.mean_waste, 2},
        {"upstream calls", static_cast<double>(stats.upstream_allocations), 0},
        {"left after", static_cast<double>(stats.total.allocated_bytes), 0}};
    all.front().values.insert(all.front().values.end(), waste.begin(), waste.end());
    return all;
}

/// Each kind of measurement has columns of its own.
std::string tables(const Report& report) {
    std::string text;
    for (size_t i = 0; i < report.measurements.size();) {
        const Measurement& first = report.measurements[i];
        std::vector<cli::Column> columns = {{first.key[0].second}, {"size"}};
        for (const Measurement::Value& value : first.values)
            columns.push_back({value.name, 0, true});
        std::vector<std::vector<std::string>> rows;
        for (; i < report.measurements.size() &&
               report.measurements[i].key[0].second == first.key[0].second;
             ++i) {
            const Measurement& measurement = report.measurements[i];
            std::vector<std::string>& row = rows.emplace_back(
                std::vector{measurement.key[1].second, measurement.key[2].second});
            for (const Measurement::Value& value : measurement.values)
                row.push_back(cli::fixed(value.value, value.decimals));
            row.resize(columns.size());
        }
        text += cli::markdown_table(columns, rows) + '\n';
    }
    std::string machine;
    for (const auto& [name, value] : report.environment)
        machine += (machine.empty() ? "" : "; ") + name + " " + value;
    return text + machine + '\n';
}

int allocator(const AllocatorFlags& flags) {
    flags.output.check("allocator");
    if (!flags.record.file.empty()) {
        record_trace(flags.record);
        return cli::kDone;
    }
    std::vector<std::string> traces(std::begin(kTraces), std::end(kTraces));
    if (!flags.trace.empty())
        traces = {flags.trace};
    for (const std::string& file : traces)
        read_trace(file); // a bad one shows now
    const auto backend = make_backend(flags.record.device, 1);
    Device& device = *backend;
    Report report{.benchmark = "allocator", .environment = environment(), .measurements = {}};
    report.environment.emplace_back("device", device.properties().name);
    {
        DeviceUpstream upstream(device);
        const Stream streams[2] = {Stream(device), Stream(device)};
        CachingAllocator cache(device, upstream);
        const Subject own{"yeoul", [&](size_t bytes, int stream) {
                              cache.allocate(bytes, MemoryTag::staging, streams[stream]);
                          }};
        const Subject peers[] = {
            {"malloc",
             [](size_t bytes, int) {
                 void* volatile data = std::malloc(bytes); // volatile: not optimized away
                 std::free(data);
             }},
            {"device", [&](size_t bytes, int) { device.release(device.allocate(bytes)); }}};
        const double clock = clock_ns();
        report.environment.emplace_back("clock ns taken off", cli::fixed(clock, 0));
        for (const size_t bytes : kSizes)
            report.measurements.push_back(measure_hits(cache, streams[0], bytes, flags, clock));
        for (const size_t bytes : kSizes) {
            report.measurements.push_back(measure_pairs(own, bytes, flags, clock));
            for (const Subject& peer : peers)
                report.measurements.push_back(measure_pairs(peer, bytes, flags, clock));
        }
        report.measurements.push_back(measure_threads(own, flags));
        report.measurements.push_back(measure_threads(peers[0], flags));
    }
    for (const std::string& file : traces)
        for (Measurement& measurement : measure_trace(file, device, flags))
            report.measurements.push_back(std::move(measurement));
    if (flags.output.format == "json")
        return print(report, flags.output);
    std::cout << tables(report);
    if (flags.output.compare.empty())
        return cli::kDone;
    const Comparison comparison = compare(report, flags.output.compare);
    std::cout << '\n' << comparison.table;
    return comparison.regressed ? cli::kMissed : cli::kDone;
}

} // namespace

cli::Command allocator_command() {
    auto flags = std::make_shared<AllocatorFlags>();
    cli::Command command(
        "allocator",
        "Device memory: the cost of a request, two threads, and traces recorded from sessions.",
        "engine-bench allocator\n"
        "engine-bench allocator --device cuda --format json\n"
        "engine-bench allocator --record day.trace --device cuda");
    command
        .text("device", "DEVICE", "whose memory: auto, cpu, cuda or cuda:N (default: cpu)",
              flags->record.device)
        .text("trace", "FILE", "requests to replay (default: those of apps/bench/traces)",
              flags->trace)
        .text("record", "FILE", "write a trace of a day of sessions instead of measuring",
              flags->record.file)
        .text("arch", "NAME", "of --record: a second model, by architecture, as of synth",
              flags->record.arch)
        .number("batch-size", "N", "of --record: photos of a batch, at most (default: by device)",
                flags->record.batch_size, 1, 1024)
        .number("albums", "N", "of --record: of each of the day's six parts (default: 12)",
                flags->record.albums, 1, 10000)
        .number("repetitions", "N", "timed rounds of each measurement (default: 10)",
                flags->repetitions, 1, 100000)
        .number("pairs", "N", "requests of a round (default: 20000)", flags->pairs, 1, 10000000);
    flags->output.add(command);
    command.run([flags] { return allocator(*flags); });
    return command;
}

} // namespace yeoul::bench

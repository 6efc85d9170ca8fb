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
#include <utility>

#include "apps/bench/allocator_peers.h"
#include "apps/bench/allocator_record.h"
#include "apps/bench/allocator_trace.h"
#include "apps/bench/commands.h"
#include "apps/bench/environment.h"
#include "apps/bench/output.h"
#include "apps/cli/console.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/table.h"
#include "engine/backends.h"

namespace yeoul::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kMebibyte = 1 << 20;

struct AllocatorFlags {
    std::string trace; // empty: all of kTraces
    std::string torch; // empty: not beside PyTorch
    RecordFlags record;
    int repetitions = 10, pairs = 20000;
    OutputFlags output;
};

/// Of CLIP ViT-B/32 and the bundled model on a CPU and on an emulated GPU, and there of the bundled
/// one alone, whose 2 MB are one page of a GPU.
constexpr const char* kTraces[] = {YEOUL_SOURCE_DIR "/apps/bench/traces/cpu.trace",
                                   YEOUL_SOURCE_DIR "/apps/bench/traces/cuda.trace",
                                   YEOUL_SOURCE_DIR "/apps/bench/traces/cuda-small.trace"};

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

Subject pairs_of(const AllocatorPeer& peer) {
    return {peer.name, [peer](size_t bytes, int stream) {
                peer.release(peer.allocate(bytes, stream), stream);
            }};
}

std::vector<AllocatorPeer> peers_of(Device& device, const std::string& torch) {
    std::vector<AllocatorPeer> peers = {malloc_peer(), device_peer(device)};
    if (device.properties().kind != "cpu")
        try {
            peers.push_back(driver_pool_peer());
        } catch (const Error& error) {
            cli::Console(cli::Verbosity::normal)
                .warning("not beside cudaMallocAsync: " + std::string(error.what()));
        }
    if (!torch.empty())
        peers.push_back(torch_peer(torch));
    return peers;
}

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

/// Arithmetic alone, of about the time of a pair: what two threads of this machine can be at best.
void arithmetic(size_t, int) {
    volatile uint64_t x = 1;
    for (int i = 0; i < 120; ++i)
        x = x * 3 + 1;
}

/// Of the subjects in turn, so that a slow minute counts for all. The last one is the measure of
/// the others.
std::vector<Measurement> measure_threads(const std::vector<Subject>& subjects,
                                         const AllocatorFlags& flags) {
    struct Rounds {
        std::vector<double> ratios, cpu_one, cpu_two, ms;
        double best_one = 0, best_two = 0;
    };
    std::vector<Rounds> all(subjects.size());
    for (int round = 0; round < flags.repetitions; ++round)
        for (size_t i = 0; i < subjects.size(); ++i) {
            const Rate one = rate(subjects[i], 1, 20 * flags.pairs),
                       two = rate(subjects[i], 2, 20 * flags.pairs);
            all[i].ratios.push_back(two.pairs_per_s / one.pairs_per_s);
            all[i].cpu_one.push_back(one.cpu_ns);
            all[i].cpu_two.push_back(two.cpu_ns);
            all[i].ms.push_back(1e3 / two.pairs_per_s);
            all[i].best_one = std::max(all[i].best_one, one.pairs_per_s);
            all[i].best_two = std::max(all[i].best_two, two.pairs_per_s);
        }
    std::vector<Measurement> measurements;
    for (size_t i = 0; i < subjects.size(); ++i) {
        std::vector<double> of_last;
        for (size_t round = 0; round < all[i].ratios.size(); ++round)
            of_last.push_back(all[i].ratios[round] / all.back().ratios[round]);
        Measurement& measurement = measurements.emplace_back();
        measurement.key = {{"what", "two threads"}, {"by", subjects[i].name}, {"size", "64 KiB"}};
        measurement.samples_ms = all[i].ms;
        measurement.values = {{"ratio", quantile(all[i].ratios, 0.5), 2},
                              {"ratio of the best", all[i].best_two / all[i].best_one, 2},
                              {"of " + subjects.back().name + "'s", quantile(of_last, 0.5), 2},
                              {"one, M/s", all[i].best_one * 1e-6, 2},
                              {"two, M/s", all[i].best_two * 1e-6, 2},
                              {"one, CPU ns", quantile(all[i].cpu_one, 0.5), 1},
                              {"two, CPU ns", quantile(all[i].cpu_two, 0.5), 1}};
    }
    return measurements;
}

/// The whole trace. `take` gives a block for a step, `put` takes one back: at the end, untimed,
/// also those that the trace leaves.
template <class Block, class Take, class Put>
double replay_ms(const Trace& trace, Take take, Put put) {
    std::vector<Block> blocks(trace.blocks);
    const Clock::time_point start = Clock::now();
    for (const TraceStep& step : trace.steps)
        if (step.bytes > 0)
            blocks[step.block] = take(step);
        else
            put(blocks[step.block]);
    const double ms = ns_since(start) * 1e-6;
    for (Block& block : blocks)
        put(block);
    return ms;
}

/// Keeps what it has between rounds, as the pools of the peers do.
class OwnReplay {
public:
    OwnReplay(Device& device, int streams) : upstream_(device), allocator_(device, upstream_) {
        for (int s = 0; s < streams; ++s)
            streams_.push_back(std::make_unique<Stream>(device));
    }
    double ms(const Trace& trace) {
        return replay_ms<MemoryBlock>(
            trace,
            [&](const TraceStep& step) {
                return allocator_.allocate(step.bytes, step.tag, *streams_[step.stream]);
            },
            [](MemoryBlock& block) { block.reset(); });
    }

private:
    DeviceUpstream upstream_;
    std::vector<std::unique_ptr<Stream>> streams_; // outlive the allocator
    CachingAllocator allocator_;
};

double replay_peer_ms(const Trace& trace, const AllocatorPeer& peer) {
    struct Taken {
        void* data = nullptr;
        int stream = 0;
    };
    return replay_ms<Taken>(
        trace,
        [&](const TraceStep& step) {
            const int stream = step.stream % 2;
            return Taken{peer.allocate(step.bytes, stream), stream};
        },
        [&](Taken& taken) {
            if (void* data = std::exchange(taken.data, nullptr))
                peer.release(data, taken.stream);
        });
}

std::vector<Measurement> measure_trace(const std::string& file, Device& device,
                                       const std::vector<AllocatorPeer>& peers,
                                       const AllocatorFlags& flags) {
    const Trace trace = read_trace(file);
    std::vector<Measurement> all(1 + peers.size());
    for (size_t i = 0; i < all.size(); ++i)
        all[i].key = {{"what", "trace"},
                      {"by", i == 0 ? "yeoul" : peers[i - 1].name},
                      {"size", std::filesystem::path(file).filename().string()}};
    OwnReplay own(device, trace.streams);
    for (int round = 0; round < flags.repetitions; ++round) { // side by side in time
        all[0].samples_ms.push_back(own.ms(trace));
        for (size_t i = 0; i < peers.size(); ++i)
            all[i + 1].samples_ms.push_back(replay_peer_ms(trace, peers[i]));
    }
    for (Measurement& measurement : all) {
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
    const std::vector<AllocatorPeer> peers = peers_of(device, flags.torch);
    {
        DeviceUpstream upstream(device);
        const Stream streams[2] = {Stream(device), Stream(device)};
        CachingAllocator cache(device, upstream);
        const Subject own{"yeoul", [&](size_t bytes, int stream) {
                              cache.allocate(bytes, MemoryTag::staging, streams[stream]);
                          }};
        const double clock = clock_ns();
        report.environment.emplace_back("clock ns taken off", cli::fixed(clock, 0));
        for (const size_t bytes : kSizes)
            report.measurements.push_back(measure_hits(cache, streams[0], bytes, flags, clock));
        for (const size_t bytes : kSizes) {
            report.measurements.push_back(measure_pairs(own, bytes, flags, clock));
            for (const AllocatorPeer& peer : peers)
                report.measurements.push_back(measure_pairs(pairs_of(peer), bytes, flags, clock));
        }
        const std::vector<Subject> subjects = {
            own, pairs_of(malloc_peer()), {"arithmetic", arithmetic}};
        for (Measurement& measurement : measure_threads(subjects, flags))
            report.measurements.push_back(std::move(measurement));
    }
    for (const std::string& file : traces)
        for (Measurement& measurement : measure_trace(file, device, peers, flags))
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
        .text("torch", "FILE", "also beside PyTorch's allocator: its libtorch_cuda.so",
              flags->torch)
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

// engine-bench simulate: batching policies on a virtual clock.
#include <algorithm>
#include <charconv>
#include <fstream>
#include <memory>
#include <sstream>

#include "apps/bench/commands.h"
#include "apps/bench/simulate_report.h"
#include "apps/cli/exit_code.h"

namespace yeoul::bench {
namespace {

using namespace batching;

struct SimulateFlags {
    std::vector<std::string> curves = {"t4-b32"}, traffic = {"poisson", "bursty"}, arms = kArms;
    std::vector<int> targets = {8, 25};
    std::string cost_table, trace, photo_ms = "5.3", format = "md";
    int64_t photos = 100'000, seed = 1;
    int target_ms = 0, cores = 4, rate = 0, load = 0;
    bool deadlines = true, same_buckets = false;
};

std::string read_text(const std::string& path, const char* flag) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    YEOUL_REQUIRE(in, flag << " is '" << path << "', which cannot be read");
    return text.str();
}

double milliseconds(const std::string& text) {
    double ms = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
    YEOUL_REQUIRE(error == std::errc() && end == text.data() + text.size() && ms > 0 && ms <= 1e5,
                  "--photo-ms is '" << text << "', must be a time between 0 and 100000 ms");
    return ms;
}

/// Every size for the other policies, as if they had a graph of each; the engine's own for `yeoul`.
struct Curve {
    std::string name;
    CostTable all, buckets;
};

std::vector<Curve> curves(const SimulateFlags& flags) {
    std::vector<Curve> all;
    if (!flags.cost_table.empty()) {
        const CostTable table = CostTable::from_text(read_text(flags.cost_table, "--cost-table"));
        all.push_back({flags.cost_table, table, CostTable(pareto(table.buckets()))});
        return all;
    }
    for (const std::string& name : flags.curves) {
        const std::vector<BatchCost> curve = named_curve(name);
        all.push_back({name, CostTable(curve), CostTable(pareto(curve))});
    }
    return all;
}

struct TrafficShape {
    std::string name;
    TrafficAt at;
};

std::vector<TrafficShape> shapes(const SimulateFlags& flags) {
    if (!flags.trace.empty()) {
        const std::vector<AlbumArrival> trace = read_trace(read_text(flags.trace, "--trace"));
        return {{flags.trace, [trace](double rate) { return at_rate(trace, rate); }}};
    }
    std::vector<TrafficShape> all;
    for (const std::string& name : flags.traffic) {
        const Traffic traffic = name == "poisson"  ? Traffic::poisson
                                : name == "bursty" ? Traffic::bursty
                                : name == "on-off" ? Traffic::on_off
                                                   : Traffic::albums;
        all.push_back({name, [traffic, &flags](double rate) {
                           return arrivals(traffic, rate, flags.photos,
                                           static_cast<uint64_t>(flags.seed));
                       }});
    }
    return all;
}

int simulate(const SimulateFlags& flags) {
    YEOUL_REQUIRE(flags.rate == 0 || flags.load == 0, "--rate and --load exclude each other");
    SimulationTable table;
    table.searched = flags.rate == 0 && flags.load == 0;
    const auto decode_ns = static_cast<int64_t>(1e6 * milliseconds(flags.photo_ms));
    const double decode_rate =
        flags.cores == 0 ? 1e12 : 1e9 * flags.cores / static_cast<double>(decode_ns);
    std::ostringstream settings;
    settings << flags.cores << " cores";
    if (flags.cores > 0)
        settings << ", " << flags.photo_ms << " ms to decode a photo";
    if (flags.trace.empty())
        settings << "; " << flags.photos << " photos per run, seed " << flags.seed << "; ";
    else
        settings << "; " << flags.trace << "; ";
    settings << (flags.deadlines ? "the target is every photo's deadline" : "no deadlines")
             << "; other policies than yeoul have "
             << (flags.same_buckets ? "the same buckets" : "a graph of every batch size");
    table.settings = settings.str();

    for (const Curve& curve : curves(flags)) {
        std::vector<int64_t> targets_ns;
        if (flags.target_ms > 0)
            targets_ns.push_back(int64_t{1'000'000} * flags.target_ms);
        else
            for (int multiple : flags.targets)
                targets_ns.push_back(multiple * curve.all.ns(0));
        const double most = std::min(curve.all.best_per_second(), decode_rate);
        for (const int64_t target_ns : targets_ns)
            for (const TrafficShape& shape : shapes(flags)) {
                const double bound = std::min(
                    curve.all.bound_per_second(static_cast<double>(target_ns) / 1e3), decode_rate);
                table.cells.push_back({curve.name,
                                       shape.name,
                                       static_cast<double>(target_ns) / 1e6,
                                       most,
                                       bound,
                                       {}});
                for (const std::string& arm : flags.arms) {
                    const bool own = arm == "yeoul" || flags.same_buckets;
                    const ArmSetup setup{own ? curve.buckets : curve.all,
                                         flags.cores,
                                         decode_ns,
                                         target_ns,
                                         flags.deadlines,
                                         0};
                    const double rate = flags.rate > 0 ? flags.rate : most * flags.load / 100;
                    table.cells.back().runs.emplace_back(
                        arm, rate > 0 ? run_at(arm, setup, shape.at, rate)
                                      : find_goodput(arm, setup, shape.at, 1.05 * most));
                }
            }
    }
    print(table, flags.format == "json");
    return cli::kDone;
}

} // namespace

cli::Command simulate_command() {
    auto flags = std::make_shared<SimulateFlags>();
    cli::Command command(
        "simulate",
        "The engine's batching policy, and five others, on a virtual clock: cores that decode "
        "feed one GPU. Finds each policy's goodput: the highest offered rate at which 99 % of "
        "all photos are in time, dropped ones counted as late. Needs no GPU and no model; the "
        "same seed gives the same table.",
        "engine-bench simulate                                  # ViT-B/32 on a T4, four cores\n"
        "engine-bench simulate --cores 0 --curves t4-b32,t4-b16 # the GPU alone\n"
        "engine-bench simulate --arrivals albums --no-deadlines --load 80\n"
        "engine-bench simulate --cost-table mine.txt --target-ms 100 --trace monday.txt");
    command
        .selection("arms",
                   "policies: single (one at a time), best-timeout (waits for more; the best of "
                   "six waits), greedy (takes what waits), greedy-drop (also drops what must be "
                   "late), nexus (one target batch), yeoul (default: all)",
                   flags->arms, kArms)
        .selection("curves",
                   "time per batch: t4-* modelled from waves of 128x96 tiles, *-tiles with the "
                   "best of eleven tiles, ft-b16 measured with FasterTransformer on a T4 "
                   "(default: t4-b32)",
                   flags->curves, kCurves)
        .text("cost-table", "FILE", "instead: lines \"batch microseconds\"", flags->cost_table)
        .selection("arrivals",
                   "poisson, bursty (gamma gaps, coefficient of variation 2.5), on-off, albums "
                   "(20 to 100 photos at once from 30 users) (default: poisson,bursty)",
                   flags->traffic, {"poisson", "bursty", "on-off", "albums"})
        .text("trace", "FILE", "instead: lines \"seconds photos\", played at the rate in question",
              flags->trace)
        .numbers("targets", "N,N", "latency targets, in times of a batch of one (default: 8,25)",
                 flags->targets, 1, 100000)
        .number("target-ms", "N", "instead: one latency target in milliseconds", flags->target_ms,
                1, 3'600'000)
        .toggle("deadlines",
                "the target is every photo's deadline (default: yes); without, it "
                "only steers and nothing is dropped",
                flags->deadlines, true)
        .number("cores", "N", "decoding threads; 0: photos arrive decoded (default: 4)",
                flags->cores, 0, 1024)
        .text("photo-ms", "MS", "one core's time to decode one photo (default: 5.3)",
              flags->photo_ms)
        .number("rate", "N", "offer so many photos per second instead of searching", flags->rate, 1,
                100'000'000)
        .number("load", "PERCENT", "offer that share of what the slower stage can do", flags->load,
                1, 1000)
        .number("photos", "N", "photos per run (default: 100000)", flags->photos, 1, 100'000'000)
        .toggle("same-buckets",
                "the other policies get yeoul's few batch sizes too; without, they pay no padding",
                flags->same_buckets)
        .number("seed", "N", "of the traffic (default: 1)", flags->seed, 0, int64_t{1} << 62)
        .choice("format", "what is printed (default: md, markdown tables)", flags->format,
                {"md", "json"});
    command.run([flags] { return simulate(*flags); });
    return command;
}

} // namespace yeoul::bench

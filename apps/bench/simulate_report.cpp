#include "apps/bench/simulate_report.h"

#include <algorithm>
#include <iostream>

#include <nlohmann/json.hpp>

#include "apps/cli/table.h"

namespace yeoul::bench {
namespace {

using batching::Run;
using batching::SimulationResult;
using cli::fixed;

const Run* find(const SimulationCell& cell, std::string_view arm) {
    for (const auto& [name, run] : cell.runs)
        if (name == arm)
            return &run;
    return nullptr;
}

// One row per question, one column per arm: goodput in percent of the slower stage's best rate.
std::string goodput_table(const SimulationTable& table) {
    std::vector<cli::Column> columns = {{"curve"}, {"target ms", 0, true}, {"arrivals"}};
    for (const auto& [arm, run] : table.cells.front().runs)
        columns.push_back({arm, 0, true});
    for (const char* title : {"yeoul / greedy", "yeoul - best other"})
        columns.push_back({title, 0, true});
    std::vector<std::vector<std::string>> rows;
    for (const SimulationCell& cell : table.cells) {
        std::vector<std::string>& row = rows.emplace_back();
        row = {cell.curve, fixed(cell.target_ms, 1), cell.arrivals};
        double best_other = 0;
        for (const auto& [arm, run] : cell.runs) {
            row.push_back(fixed(100 * run.per_second / cell.most_per_second, 1));
            if (arm != "yeoul")
                best_other = std::max(best_other, run.per_second);
        }
        const Run *yeoul = find(cell, "yeoul"), *greedy = find(cell, "greedy");
        const bool ratio = yeoul && greedy && greedy->per_second > 0;
        row.push_back(ratio ? fixed(yeoul->per_second / greedy->per_second, 2) : "-");
        const double points =
            yeoul ? 100 * (yeoul->per_second - best_other) / cell.most_per_second : 0;
        row.push_back(yeoul && cell.runs.size() > 1 ? (points > 0 ? "+" : "") + fixed(points, 1)
                                                    : "-");
    }
    return cli::markdown_table(columns, rows);
}

std::string detail_table(const SimulationTable& table) {
    std::vector<cli::Column> columns = {{"curve"}, {"target ms", 0, true}, {"arrivals"}, {"arm"}};
    for (const char* title :
         {"photos/s", "bound", "in time", "dropped", "p50 ms", "p95 ms", "p99 ms", "album p50 ms",
          "album p99 ms", "mean batch", "padding", "decode busy", "device busy"})
        columns.push_back({title, 0, true});
    columns.push_back({"bound by"});
    const auto percent = [](double share) { return fixed(100 * share, 1) + " %"; };
    std::vector<std::vector<std::string>> rows;
    for (const SimulationCell& cell : table.cells)
        for (const auto& [arm, run] : cell.runs) {
            const SimulationResult& result = run.result;
            const double photos = static_cast<double>(std::max<int64_t>(1, result.photos));
            const bool albums = result.album.p99_ms != result.photo.p99_ms;
            const std::string wait = fixed(static_cast<double>(run.timeout_ns) / 1e6, 1);
            rows.push_back(
                {cell.curve, fixed(cell.target_ms, 1), cell.arrivals,
                 arm == "best-timeout" ? arm + " (" + wait + " ms)" : arm, fixed(run.per_second, 0),
                 fixed(cell.bound_per_second, 0),
                 percent(static_cast<double>(result.in_time) / photos),
                 percent(static_cast<double>(result.dropped) / photos),
                 fixed(result.photo.p50_ms, 1), fixed(result.photo.p95_ms, 1),
                 fixed(result.photo.p99_ms, 1), albums ? fixed(result.album.p50_ms, 1) : "-",
                 albums ? fixed(result.album.p99_ms, 1) : "-", fixed(result.mean_batch, 1),
                 percent(result.padding), percent(result.decode_busy), percent(result.device_busy),
                 result.bound_by()});
        }
    return cli::markdown_table(columns, rows);
}

nlohmann::json as_json(const SimulationTable& table) {
    nlohmann::json runs = nlohmann::json::array();
    for (const SimulationCell& cell : table.cells)
        for (const auto& [arm, run] : cell.runs) {
            const SimulationResult& result = run.result;
            const auto times = [](const batching::Percentiles& of) {
                return nlohmann::json{{"p50", of.p50_ms}, {"p95", of.p95_ms}, {"p99", of.p99_ms}};
            };
            runs.push_back({{"curve", cell.curve},
                            {"target_ms", cell.target_ms},
                            {"arrivals", cell.arrivals},
                            {"arm", arm},
                            {"timeout_ms", static_cast<double>(run.timeout_ns) / 1e6},
                            {"per_second", run.per_second},
                            {"best_per_second", cell.most_per_second},
                            {"bound_per_second", cell.bound_per_second},
                            {"photos", result.photos},
                            {"in_time", result.in_time},
                            {"dropped", result.dropped},
                            {"refused", result.refused},
                            {"batches", result.batches},
                            {"served_per_second", result.served_per_second},
                            {"photo_ms", times(result.photo)},
                            {"album_ms", times(result.album)},
                            {"mean_batch", result.mean_batch},
                            {"padding", result.padding},
                            {"decode_busy", result.decode_busy},
                            {"device_busy", result.device_busy},
                            {"bound_by", result.bound_by()}});
        }
    return {{"benchmark", "simulate"},
            {"settings", table.settings},
            {"searched", table.searched},
            {"runs", std::move(runs)}};
}

} // namespace

void print(const SimulationTable& table, bool json) {
    if (json) {
        std::cout << as_json(table).dump(1) << '\n';
        return;
    }
    if (table.cells.empty())
        return;
    std::cout << table.settings << ".\n\n";
    if (table.searched)
        std::cout << "Goodput, in percent of what the slower stage can do at its best batch:\n\n"
                  << goodput_table(table) << "\nAt that rate:\n\n";
    std::cout << detail_table(table)
              << "\nbound: max b / t(b) over batches no longer than the target, or the decoder's "
                 "rate. in time, dropped: of all photos. Times are from arrival, of photos and of "
                 "whole albums that were computed. padding: share of rows computed for nobody.\n";
}

} // namespace yeoul::bench

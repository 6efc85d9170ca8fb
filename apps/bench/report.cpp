#include "apps/bench/report.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include <yeoul/error.h>

#include "apps/cli/table.h"
#include "loader/json.h"

namespace yeoul::bench {
namespace {

constexpr double kLeastNoise = 0.03;

double quantile(const std::vector<double>& sorted, double q) {
    const double at = q * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<size_t>(at);
    const size_t above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

std::string percent(double share) {
    return cli::fixed(100 * share, 1) + " %";
}

// Sorted: a JSON tool may have reordered the members of an old report.
std::string text_of(std::vector<std::pair<std::string, std::string>> key) {
    std::sort(key.begin(), key.end());
    std::string text;
    for (const auto& [name, value] : key)
        text += (text.empty() ? "" : ", ") + name + " " + value;
    return text;
}

struct Old {
    std::string key;
    Summary summary;
};

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& why) {
    throw Error(ErrorCode::invalid_argument, "--compare is '" + file.string() + "', " + why +
                                                 "; name a file that --format json wrote");
}

std::vector<Old> read_old(const std::filesystem::path& file, const std::string& benchmark) {
    std::ifstream in(file, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    if (!in)
        refuse(file, "which cannot be read");
    loader::Json json;
    try {
        json = loader::parse_json(text.str(), file.string());
    } catch (const Error& error) {
        refuse(file, std::string("which is no JSON (") + error.what() + ")");
    }
    const loader::Json* name = json.find("benchmark");
    const loader::Json* measurements = json.find("measurements");
    if (!name || !name->string() || !measurements || !measurements->array())
        refuse(file, "which is no report of engine-bench");
    if (*name->string() != benchmark)
        refuse(file, "which is a report of 'engine-bench " + *name->string() + "'");
    std::vector<Old> all;
    for (const loader::Json& measurement : *measurements->array()) {
        const loader::Json* key = measurement.find("key");
        const loader::Json* samples = measurement.find("samples_ms");
        if (!key || !key->object() || !samples || !samples->array() || samples->array()->empty())
            refuse(file, "which holds a measurement without key or samples");
        std::vector<std::pair<std::string, std::string>> pairs;
        for (const auto& [part, value] : *key->object())
            pairs.emplace_back(part, value.string() ? *value.string() : "");
        std::vector<double> values;
        for (const loader::Json& sample : *samples->array()) {
            if (!sample.is_number())
                refuse(file, "which holds a sample that is no number");
            values.push_back(sample.number());
        }
        all.push_back({text_of(pairs), summarize(std::move(values))});
    }
    return all;
}

} // namespace

Summary summarize(std::vector<double> samples) {
    std::sort(samples.begin(), samples.end());
    const double median = quantile(samples, 0.5);
    return {.median = median,
            .least = samples.front(),
            .spread =
                median > 0 ? (quantile(samples, 0.75) - quantile(samples, 0.25)) / median : 0};
}

std::string as_markdown(const Report& report) {
    if (report.measurements.empty())
        return "";
    std::vector<cli::Column> columns;
    const Measurement& first = report.measurements.front();
    for (const auto& [name, value] : first.key)
        columns.push_back({name});
    for (const char* title : {"ms/photo", "min", "spread", "photos/s"})
        columns.push_back({title, 0, true});
    for (const Measurement::Value& value : first.values)
        columns.push_back({value.name, 0, true});
    columns.push_back({"bound by"});
    std::vector<std::vector<std::string>> rows;
    for (const Measurement& measurement : report.measurements) {
        std::vector<std::string>& row = rows.emplace_back();
        for (const auto& [name, value] : measurement.key)
            row.push_back(value);
        const Summary summary = summarize(measurement.samples_ms);
        row.push_back(cli::fixed(summary.median, 2));
        row.push_back(cli::fixed(summary.least, 2));
        row.push_back(percent(summary.spread));
        row.push_back(cli::fixed(1000 / summary.median, 1));
        for (const Measurement::Value& value : measurement.values)
            row.push_back(cli::fixed(value.value, value.decimals));
        row.push_back(measurement.bound_by);
    }
    std::string machine;
    for (const auto& [name, value] : report.environment)
        machine += (machine.empty() ? "" : "; ") + name + " " + value;
    return cli::markdown_table(columns, rows) + '\n' + machine + '\n';
}

std::string as_json(const Report& report) {
    std::ostringstream json;
    json.precision(6);
    json << "{\"benchmark\": " << loader::json_quote(report.benchmark) << ",\n \"environment\": {";
    auto pairs = [&json](const std::vector<std::pair<std::string, std::string>>& list) {
        std::string_view separator = "";
        for (const auto& [name, value] : list) {
            json << separator << loader::json_quote(name) << ": " << loader::json_quote(value);
            separator = ", ";
        }
    };
    pairs(report.environment);
    json << "},\n \"measurements\": [";
    std::string_view between = "\n";
    for (const Measurement& measurement : report.measurements) {
        const Summary summary = summarize(measurement.samples_ms);
        json << between << "  {\"key\": {";
        between = ",\n";
        pairs(measurement.key);
        json << "}, \"median_ms\": " << summary.median << ", \"min_ms\": " << summary.least
             << ", \"spread\": " << summary.spread << ", \"values\": {";
        std::string_view separator = "";
        for (const Measurement::Value& value : measurement.values) {
            json << separator << loader::json_quote(value.name) << ": " << value.value;
            separator = ", ";
        }
        json << "}, \"bound_by\": " << loader::json_quote(measurement.bound_by)
             << ", \"samples_ms\": [";
        separator = "";
        for (double sample : measurement.samples_ms) {
            json << separator << sample;
            separator = ", ";
        }
        json << "]}";
    }
    json << "\n ]}\n";
    return json.str();
}

void require_report(const std::filesystem::path& old_file, const std::string& benchmark) {
    read_old(old_file, benchmark);
}

Comparison compare(const Report& report, const std::filesystem::path& old_file) {
    const std::vector<Old> olds = read_old(old_file, report.benchmark);
    Comparison comparison;
    std::vector<std::vector<std::string>> rows;
    for (const Measurement& measurement : report.measurements) {
        const std::string key = text_of(measurement.key);
        const auto old = std::find_if(olds.begin(), olds.end(),
                                      [&](const Old& other) { return other.key == key; });
        if (old == olds.end())
            continue;
        ++comparison.matched;
        const Summary now = summarize(measurement.samples_ms);
        const double noise = std::max({kLeastNoise, now.spread, old->summary.spread});
        const double change = now.least / old->summary.least - 1;
        const bool slower = change > noise;
        comparison.regressed |= slower;
        rows.push_back({key, cli::fixed(old->summary.least, 2), cli::fixed(now.least, 2),
                        (change > 0 ? "+" : "") + percent(change), percent(noise),
                        slower            ? "slower"
                        : change < -noise ? "faster"
                                          : "same"});
    }
    YEOUL_REQUIRE(comparison.matched > 0, "--compare is '"
                                              << old_file.string()
                                              << "', which measured none of these; give the flags "
                                                 "that it was made with");
    comparison.table = cli::markdown_table({{"measurement"},
                                            {"old min ms", 0, true},
                                            {"new min ms", 0, true},
                                            {"change", 0, true},
                                            {"noise", 0, true},
                                            {"verdict"}},
                                           rows);
    return comparison;
}

} // namespace yeoul::bench

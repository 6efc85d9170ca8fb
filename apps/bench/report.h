// Measurements as a markdown table or as JSON, and the comparison of two reports.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace yeoul::bench {

struct Summary {
    double median = 0, least = 0;
    double spread = 0; // interquartile range / median
};
/// Of at least one sample.
Summary summarize(std::vector<double> samples);

struct Measurement {
    /// What was measured: {"batch", "8"}. Equal keys are compared with each other.
    std::vector<std::pair<std::string, std::string>> key;
    std::vector<double> samples_ms; // per photo, in the order taken
    /// Further columns with their number of decimals.
    struct Value {
        std::string name;
        double value;
        int decimals;
    };
    std::vector<Value> values;
    std::string bound_by;
};

struct Report {
    std::string benchmark;                                        // "model"
    std::vector<std::pair<std::string, std::string>> environment; // machine, build, settings
    std::vector<Measurement> measurements;
};

std::string as_markdown(const Report& report);
std::string as_json(const Report& report);

/// Throws as `compare`, so that a wrong file is known before minutes of measuring.
void require_report(const std::filesystem::path& old_file, const std::string& benchmark);

struct Comparison {
    std::string table; // markdown
    bool regressed = false;
    int matched = 0;
};
/// Each measurement against the one with the same key in the JSON report `old_file`, by their
/// minima, which other work on the machine disturbs least. Slower by more than the noise is a
/// regression; the noise is the larger spread of the two, at least 3 %.
/// Throws `Error`, code `invalid_argument`, when the file is no such report.
Comparison compare(const Report& report, const std::filesystem::path& old_file);

} // namespace yeoul::bench

// engine-run compare: may vectors of two programs or models share an index?
#include <iostream>

#include "apps/cli/command_line.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/json_text.h"
#include "apps/cli/table.h"
#include "apps/run/commands.h"
#include "apps/run/vector_statistics.h"
#include "loader/json.h"

namespace yeoul::run {
namespace {

constexpr int kMostQueries = 100; // for the overlap: enough for a share to within a few percent

struct CompareFlags {
    std::vector<std::string> files;
    std::string format = "table";
    double threshold = 0.999, overlap = 0.95;
    int top_k = 10;
};

struct Verdict {
    Differences differences;
    double overlap = 1;
    std::vector<std::string> reasons; // to compute the index anew
};

Verdict judge(const Vectors& a, const Vectors& b, const CompareFlags& flags) {
    Verdict verdict;
    if (a.dim != b.dim) {
        verdict.reasons.push_back("the vectors have " + std::to_string(a.dim) + " and " +
                                  std::to_string(b.dim) + " values");
        return verdict;
    }
    verdict.differences = differences(a, b);
    verdict.overlap = neighbours_kept(a, b, flags.top_k, kMostQueries);
    const Differences& d = verdict.differences;
    if (d.least_cosine < flags.threshold)
        verdict.reasons.push_back("the least cosine, " + cli::fixed(d.least_cosine, 6) +
                                  " of vector " + std::to_string(d.least_row + 1) + ", is below " +
                                  cli::fixed(flags.threshold, 6));
    if (verdict.overlap < flags.overlap)
        verdict.reasons.push_back("queries of the new vectors find " +
                                  cli::fixed(100 * verdict.overlap, 1) + " % of the old " +
                                  std::to_string(flags.top_k) + " nearest, below " +
                                  cli::fixed(100 * flags.overlap, 1) + " %");
    return verdict;
}

std::string table_text(const Verdict& verdict, const CompareFlags& flags) {
    const Differences& d = verdict.differences;
    std::vector<std::vector<std::string>> rows;
    if (d.compared > 0)
        rows = {{"vectors compared", std::to_string(d.compared)},
                {"skipped, zero or not finite", std::to_string(d.skipped)},
                {"cosine, least", cli::fixed(d.least_cosine, 6)},
                {"cosine, median", cli::fixed(d.median_cosine, 6)},
                {"cosine, mean", cli::fixed(d.mean_cosine, 6)},
                {"largest difference", cli::fixed(d.max_abs, 6)},
                {"length, new to old", cli::fixed(d.mean_length_ratio, 4)},
                {"old " + std::to_string(flags.top_k) + " nearest that new queries find",
                 cli::fixed(100 * verdict.overlap, 1) + " %"}};
    rows.push_back({"must you re-index", verdict.reasons.empty() ? "no" : "yes"});
    std::string text = cli::table({{"what", 0}, {"value", 0}}, rows);
    for (const std::string& reason : verdict.reasons)
        text += "because " + reason + "\n";
    return text;
}

std::string json_text(const Verdict& verdict) {
    const Differences& d = verdict.differences;
    std::string reasons;
    for (const std::string& reason : verdict.reasons)
        reasons += (reasons.empty() ? "" : ", ") + loader::json_quote(reason);
    return cli::JsonObject()
               .number("compared", d.compared)
               .number("skipped", d.skipped)
               .real("cosine_min", d.least_cosine)
               .real("cosine_median", d.median_cosine)
               .real("cosine_mean", d.mean_cosine)
               .real("max_abs", d.max_abs)
               .real("length_ratio", d.mean_length_ratio)
               .real("top_k_overlap", verdict.overlap)
               .boolean("reindex", !verdict.reasons.empty())
               .raw("reasons", "[" + reasons + "]")
               .str() +
           "\n";
}

int compare(const CompareFlags& flags) {
    YEOUL_REQUIRE(flags.files.size() == 2,
                  "compare takes two files, old and new vectors, and got " << flags.files.size());
    const Vectors a = read_vectors(flags.files[0]), b = read_vectors(flags.files[1]);
    YEOUL_REQUIRE(a.rows == b.rows, "'" << flags.files[0] << "' has " << a.rows << " vectors and '"
                                        << flags.files[1] << "' " << b.rows
                                        << "; compare vectors of the same photos");
    YEOUL_REQUIRE(a.paths.empty() || b.paths.empty() || a.paths == b.paths,
                  "the files hold vectors of different photos");
    const Verdict verdict = judge(a, b, flags);
    YEOUL_REQUIRE(verdict.differences.compared > 0 || a.dim != b.dim,
                  "no vector is finite and not zero in both files");
    std::cout << (flags.format == "json" ? json_text(verdict) : table_text(verdict, flags));
    return verdict.reasons.empty() ? cli::kDone : cli::kMissed;
}

constexpr const char* kCompareExamples =
    R"(engine-run compare old.npy new.npy                 may both be searched in one index?
engine-run compare fastapi.npy yeoul.safetensors --threshold 0.9999 --format json)";

} // namespace

cli::Command compare_command() {
    auto flags = std::make_shared<CompareFlags>();
    cli::Command command("compare",
                         "Whether new vectors fit an index of old ones (.npy, .safetensors).",
                         kCompareExamples);
    command.arguments("OLD NEW", "vectors of the same photos in the same order", flags->files,
                      true);
    const auto share = [&](const char* name, const char* help, double CompareFlags::*member) {
        command.add({name, "X", help, false,
                     [flags, member](const std::string& text, const std::string& label) {
                         (*flags).*member = parse_cosine(text, label);
                     }});
    };
    share("threshold", "the least cosine of old and new that needs no new index (default: 0.999)",
          &CompareFlags::threshold);
    share("overlap", "the least share of neighbours that must stay (default: 0.95)",
          &CompareFlags::overlap);
    command
        .number("top-k", "K", "how many neighbours are looked at (default: 10)", flags->top_k, 1,
                1000)
        .choice("format", "what is printed (default: table)", flags->format, {"table", "json"});
    command.run([flags] { return compare(*flags); });
    return command;
}

} // namespace yeoul::run

#include "apps/bench/output.h"

#include <iostream>

#include "apps/cli/exit_code.h"

namespace yeoul::bench {

void OutputFlags::add(cli::Command& command) {
    command.choice("format", "what is printed (default: md, a markdown table)", format,
                   {"md", "json"});
    command.text("compare", "OLD.json",
                 "compare with an earlier --format json; exit 6 when slower beyond noise", compare);
}

void OutputFlags::check(const std::string& benchmark) const {
    if (!compare.empty())
        require_report(compare, benchmark);
}

int print(const Report& report, const OutputFlags& flags) {
    const bool json = flags.format == "json";
    std::cout << (json ? as_json(report) : as_markdown(report));
    if (flags.compare.empty())
        return cli::kDone;
    const Comparison comparison = compare(report, flags.compare);
    (json ? std::cerr : std::cout) << '\n' << comparison.table;
    return comparison.regressed ? cli::kMissed : cli::kDone;
}

} // namespace yeoul::bench

// engine-run inspect: what the model directory says, as understood, and what runs it.
#include <algorithm>
#include <iostream>

#include "apps/cli/console.h"
#include "apps/cli/engine_flags.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/json_text.h"
#include "apps/cli/table.h"
#include "apps/run/commands.h"
#include "engine/memory/byte_size.h"

namespace yeoul::run {
namespace {

constexpr size_t kTerminalWidth = 120;

/// `list` in lines of at most `width`, broken behind its commas.
std::vector<std::string> wrapped(const std::string& list, size_t width) {
    std::vector<std::string> lines(1);
    for (size_t begin = 0, end = 0; begin < list.size(); begin = end) {
        end = std::min(list.find(", ", begin), list.size() - std::min<size_t>(2, list.size())) + 2;
        const std::string part = list.substr(begin, end - begin);
        if (!lines.back().empty() && lines.back().size() + part.size() > width)
            lines.emplace_back();
        lines.back() += part;
    }
    return lines;
}

std::string ops_table(const std::vector<OpPlan>& ops) {
    const bool one_reason = std::all_of(
        ops.begin(), ops.end(), [&](const OpPlan& op) { return op.why == ops.front().why; });
    size_t op_width = 2, shape_width = 5, target_width = 6;
    for (const OpPlan& op : ops) {
        op_width = std::max(op_width, op.op.size());
        shape_width = std::max(shape_width, op.shape.size());
        target_width = std::max(target_width, op.target.size());
    }
    constexpr size_t kGaps = 6, kLeastKernel = 24;
    const size_t taken = op_width + shape_width + target_width + kGaps;
    const size_t kernel_width =
        taken + kLeastKernel < kTerminalWidth ? kTerminalWidth - taken : kLeastKernel;
    std::vector<cli::Column> columns = {{"op"}, {"shape"}, {"target"}, {"kernel"}};
    if (!one_reason)
        columns.push_back({"why"});
    std::vector<std::vector<std::string>> rows;
    for (const OpPlan& op : ops) {
        bool first = true;
        for (const std::string& line : wrapped(op.kernel, kernel_width)) {
            rows.push_back(first ? std::vector<std::string>{op.op, op.shape, op.target, line}
                                 : std::vector<std::string>{"", "", "", line});
            if (!one_reason)
                rows.back().push_back(first ? op.why : "");
            first = false;
        }
    }
    std::string text = cli::table(columns, rows);
    if (one_reason && !ops.empty() && !ops.front().why.empty())
        text += "\nwhy: " + ops.front().why + '\n';
    return text;
}

std::string model_table(const ModelInfo& info, const DeviceInfo& device, const EngineStats& stats) {
    std::vector<std::vector<std::string>> facts = {{"model", "family", info.family},
                                                   {"", "path", info.path.string()},
                                                   {"", "dim", std::to_string(info.dim)}};
    std::string group = "model";
    for (const Fact& fact : info.facts) {
        facts.push_back({fact.group == group ? "" : fact.group, fact.key, fact.value});
        group = fact.group;
    }
    facts.push_back({"device", "kind", device.kind});
    facts.push_back({"", "name", device.name});
    facts.push_back({"", "dtype", std::string(name(device.dtype))});
    facts.push_back({"memory", "weights", bytes_text(stats.weight_bytes)});
    facts.push_back({"", "activations", bytes_text(stats.activation_bytes)});
    facts.push_back({"", "staging", bytes_text(stats.staging_bytes)});
    return cli::table({{"group"}, {"key"}, {"value"}}, facts) + '\n' + ops_table(info.ops);
}

std::string model_json(const ModelInfo& info, const DeviceInfo& device, const EngineStats& stats) {
    const std::string facts = cli::json_list(info.facts, [](const Fact& fact) {
        return cli::JsonObject()
            .text("group", fact.group)
            .text("key", fact.key)
            .text("value", fact.value)
            .str();
    });
    const std::string ops = cli::json_list(info.ops, [](const OpPlan& op) {
        return cli::JsonObject()
            .text("op", op.op)
            .text("shape", op.shape)
            .text("target", op.target)
            .text("kernel", op.kernel)
            .text("why", op.why)
            .str();
    });
    const std::string memory = cli::JsonObject()
                                   .number("weight_bytes", stats.weight_bytes)
                                   .number("activation_bytes", stats.activation_bytes)
                                   .number("staging_bytes", stats.staging_bytes)
                                   .str();
    return cli::JsonObject()
               .text("family", info.family)
               .text("path", info.path.string())
               .number("dim", info.dim)
               .number("image_height", info.image_height)
               .number("image_width", info.image_width)
               .number("parameters", info.parameters)
               .raw("facts", facts)
               .raw("device", cli::device_json(device))
               .raw("memory", memory)
               .raw("ops", ops)
               .str() +
           '\n';
}

} // namespace

cli::Command inspect_command() {
    struct Flags {
        cli::EngineFlags engine;
        std::string format = "table";
    };
    auto flags = std::make_shared<Flags>();
    cli::Command command("inspect", "What a model directory says, as understood, and what runs it.",
                         "engine-run inspect\n"
                         "engine-run inspect --model clip-vit-base-patch32 --format json");
    flags->engine.add_model(command);
    flags->engine.add_device(command);
    command.choice("format", "what is printed (default: table)", flags->format, {"table", "json"});
    flags->engine.add_verbosity(command);
    command.run([flags] {
        cli::Console console(flags->engine.verbosity());
        const Engine engine = Engine::open(flags->engine.options(console));
        const auto& show = flags->format == "json" ? model_json : model_table;
        std::cout << show(engine.info(), engine.device(), engine.stats());
        return static_cast<int>(cli::kDone);
    });
    return command;
}

} // namespace yeoul::run

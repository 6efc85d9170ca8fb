// engine-run plan: the memory that an engine would hold, before anything is allocated.
#include <iostream>
#include <memory>

#include "apps/cli/console.h"
#include "apps/cli/engine_flags.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/json_text.h"
#include "apps/cli/table.h"
#include "apps/run/commands.h"
#include "engine/memory/byte_size.h"
#include "engine/startup.h"

namespace yeoul::run {
namespace {

std::string owner(const PlanLine& line) {
    return line.owner == PlanLine::Owner::ours ? "engine" : "driver";
}

std::string where(const PlanLine& line) {
    return line.pinned ? "pinned" : "device";
}

std::string plan_table(const MemoryPlan& plan) {
    std::vector<std::vector<std::string>> rows;
    const auto add = [&](const std::string& what, const std::string& by, const std::string& place,
                         const std::string& tag, size_t bytes, bool estimated) {
        rows.push_back({what, by, place, tag, (estimated ? "~" : "") + bytes_text(bytes)});
    };
    for (const PlanLine& line : plan.lines)
        add(line.what, owner(line), where(line), line.tag ? std::string(name(*line.tag)) : "",
            line.bytes, line.estimated);
    add("engine's own", "", "", "", plan.owned_bytes(), false);
    add("driver adds", "", "", "", plan.driver_bytes(), plan.driver_bytes() > 0);
    add("needed of the budget", "", "", "", plan.needed_bytes(), plan.driver_bytes() > 0);
    add(plan.budget_given        ? "budget"
        : plan.taken_bytes() > 0 ? "budget: free or in the context"
                                 : "budget: what is free",
        "", "", "", plan.budget_bytes, false);
    std::string text = "Memory of batches of up to " + std::to_string(plan.batch_size) + " on " +
                       std::to_string(plan.streams) + (plan.streams == 1 ? " stream" : " streams") +
                       " of " + plan.device + "\n\n";
    text += cli::table({{"what"}, {"by"}, {"where"}, {"tag"}, {"size", 0, true}}, rows);
    rows.clear();
    for (const PlanBucket& bucket : plan.buckets)
        rows.push_back({std::to_string(bucket.batch), bytes_text(bucket.activation_bytes)});
    text += "\nActivations of a stream; all batch sizes share the memory of the largest\n\n";
    text += cli::table({{"batch", 0, true}, {"activations", 0, true}}, rows);
    return text + (plan.fits() ? "\nIt fits.\n" : "\nIt does not fit.\n");
}

std::string plan_json(const MemoryPlan& plan) {
    const std::string lines = cli::json_list(plan.lines, [](const PlanLine& line) {
        return cli::JsonObject()
            .text("what", line.what)
            .text("owner", owner(line))
            .text("where", where(line))
            .raw("tag", line.tag ? '"' + std::string(name(*line.tag)) + '"' : "null")
            .number("bytes", static_cast<int64_t>(line.bytes))
            .boolean("estimated", line.estimated)
            .boolean("already_taken", line.taken)
            .str();
    });
    const std::string buckets = cli::json_list(plan.buckets, [](const PlanBucket& bucket) {
        return cli::JsonObject()
            .number("batch", bucket.batch)
            .number("activation_bytes", static_cast<int64_t>(bucket.activation_bytes))
            .str();
    });
    return cli::JsonObject()
               .text("device", plan.device)
               .number("batch_size", plan.batch_size)
               .number("streams", plan.streams)
               .raw("lines", lines)
               .raw("buckets", buckets)
               .number("device_bytes", static_cast<int64_t>(plan.device_bytes))
               .number("pinned_bytes", static_cast<int64_t>(plan.pinned_bytes))
               .number("owned_bytes", static_cast<int64_t>(plan.owned_bytes()))
               .number("driver_bytes", static_cast<int64_t>(plan.driver_bytes()))
               .number("needed_bytes", static_cast<int64_t>(plan.needed_bytes()))
               .number("budget_bytes", static_cast<int64_t>(plan.budget_bytes))
               .boolean("budget_given", plan.budget_given)
               .boolean("fits", plan.fits())
               .number("largest_batch_size", plan.largest_batch)
               .str() +
           '\n';
}

} // namespace

cli::Command plan_command() {
    struct Flags {
        cli::EngineFlags engine;
        std::string format = "table";
        bool text = false;
    };
    auto flags = std::make_shared<Flags>();
    cli::Command command("plan",
                         "The memory that this model needs on this device, to the byte, before "
                         "anything is allocated. Exits with 4 when it does not fit the budget.",
                         "engine-run plan --model clip-vit-large-patch14 --budget 15GiB\n"
                         "engine-run plan --batch-size 64 --streams 2 --format json");
    flags->engine.add_model(command);
    flags->engine.add_device(command);
    command.toggle("text",
                   "with the text side, as of tag and of engine-serve with --labels or --text",
                   flags->text);
    command.choice("format", "what is printed (default: table)", flags->format, {"table", "json"});
    flags->engine.add_verbosity(command);
    command.run([flags] {
        cli::Console console(flags->engine.verbosity());
        EngineOptions options = flags->engine.options(console);
        options.text = flags->text;
        require_valid(options);
        const std::unique_ptr<Backend> backend = open_backend(options);
        const MemoryPlan plan = plan_memory(*backend, plan_request(*backend, options));
        std::cout << (flags->format == "json" ? plan_json(plan) : plan_table(plan));
        if (plan.fits())
            return static_cast<int>(cli::kDone);
        console.error(plan.refusal());
        return static_cast<int>(cli::kDevice);
    });
    return command;
}

} // namespace yeoul::run

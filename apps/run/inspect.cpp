// engine-run inspect: what the model directory says, as understood, and what runs it.
#include <iostream>

#include "apps/cli/console.h"
#include "apps/cli/engine_flags.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/table.h"
#include "apps/run/commands.h"
#include "loader/json.h"

namespace yeoul::run {
namespace {

std::string mebibytes(int64_t bytes) {
    return cli::fixed(static_cast<double>(bytes) / (1 << 20), 1) + " MiB";
}

std::string as_table(const ModelInfo& info, const DeviceInfo& device, const EngineStats& stats) {
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
    facts.push_back({"memory", "weights", mebibytes(stats.weight_bytes)});
    facts.push_back({"", "activations", mebibytes(stats.activation_bytes)});
    facts.push_back({"", "staging", mebibytes(stats.staging_bytes)});
    std::vector<std::vector<std::string>> ops;
    for (const OpPlan& op : info.ops)
        ops.push_back({op.op, op.shape, op.target, op.kernel, op.why});
    return cli::table({{"group"}, {"key"}, {"value"}}, facts) + '\n' +
           cli::table({{"op"}, {"shape"}, {"target"}, {"kernel"}, {"why"}}, ops);
}

class JsonObject {
public:
    JsonObject& text(std::string_view key, std::string_view value) {
        return raw(key, loader::json_quote(value));
    }
    JsonObject& number(std::string_view key, int64_t value) {
        return raw(key, std::to_string(value));
    }
    JsonObject& raw(std::string_view key, std::string_view json) {
        body_ += (body_.empty() ? "" : ", ") + loader::json_quote(key) + ": ";
        body_ += json;
        return *this;
    }
    std::string str() const { return "{" + body_ + "}"; }

private:
    std::string body_;
};

template <class Items, class ToJson>
std::string json_list(const Items& items, ToJson to_json) {
    std::string list;
    for (const auto& item : items)
        list += (list.empty() ? "\n  " : ",\n  ") + to_json(item);
    return "[" + list + "]";
}

std::string as_json(const ModelInfo& info, const DeviceInfo& device, const EngineStats& stats) {
    const std::string facts = json_list(info.facts, [](const Fact& fact) {
        return JsonObject()
            .text("group", fact.group)
            .text("key", fact.key)
            .text("value", fact.value)
            .str();
    });
    const std::string ops = json_list(info.ops, [](const OpPlan& op) {
        return JsonObject()
            .text("op", op.op)
            .text("shape", op.shape)
            .text("target", op.target)
            .text("kernel", op.kernel)
            .text("why", op.why)
            .str();
    });
    const std::string memory = JsonObject()
                                   .number("weight_bytes", stats.weight_bytes)
                                   .number("activation_bytes", stats.activation_bytes)
                                   .number("staging_bytes", stats.staging_bytes)
                                   .str();
    const std::string ran_on = JsonObject()
                                   .text("kind", device.kind)
                                   .text("name", device.name)
                                   .text("dtype", name(device.dtype))
                                   .number("threads", device.threads)
                                   .number("streams", device.streams)
                                   .number("batch_size", device.batch_size)
                                   .str();
    return JsonObject()
               .text("family", info.family)
               .text("path", info.path.string())
               .number("dim", info.dim)
               .number("image_height", info.image_height)
               .number("image_width", info.image_width)
               .number("parameters", info.parameters)
               .raw("facts", facts)
               .raw("device", ran_on)
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
        const auto& show = flags->format == "json" ? as_json : as_table;
        std::cout << show(engine.info(), engine.device(), engine.stats());
        return static_cast<int>(cli::kDone);
    });
    return command;
}

} // namespace yeoul::run

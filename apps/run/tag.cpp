// engine-run tag: the likeliest of some labels for each photo.
#include <algorithm>

#include "apps/cli/engine_flags.h"
#include "apps/cli/json_text.h"
#include "apps/cli/label_flags.h"
#include "apps/cli/printable.h"
#include "apps/cli/table.h"
#include "apps/run/commands.h"
#include "apps/run/photo_job.h"
#include "loader/json.h"

namespace yeoul::run {
namespace {

struct TagFlags {
    cli::EngineFlags engine;
    std::vector<std::string> paths;
    cli::LabelFlags labels;
    std::string format = "table";
    Shard shard;
    int top_k = 5;
};

std::string json_tags(const std::string& path, const Result& result) {
    std::string row = "{\"path\": " + loader::json_quote(path);
    if (result.error)
        return row + json_error(*result.error) + "}";
    row += ", \"tags\": [";
    for (size_t i = 0; i < result.tags.size(); ++i) {
        row += (i ? ", " : "") + std::string("{\"label\": ") +
               loader::json_quote(result.tags[i].label) + ", \"probability\": ";
        cli::append_number(row, result.tags[i].probability);
        row += "}";
    }
    return row + "]}";
}

class CsvTags : public RowFormat {
public:
    explicit CsvTags(int count) : count_(count) {}
    std::string begin() override {
        std::string line = kCsvHead;
        for (int i = 1; i <= count_; ++i)
            line += ",label" + std::to_string(i) + ",probability" + std::to_string(i);
        return line + '\n';
    }
    std::string row(const std::string& path, const Result& result) override {
        std::string line = csv_head(path, result);
        for (size_t i = 0; i < static_cast<size_t>(count_); ++i) {
            line += ',';
            if (i < result.tags.size()) {
                line += csv_field(result.tags[i].label) + ',';
                cli::append_number(line, result.tags[i].probability);
            } else {
                line += ',';
            }
        }
        return line + '\n';
    }

private:
    int count_;
};

class TagTable : public RowFormat {
public:
    explicit TagTable(const std::vector<Input>& inputs) {
        columns_ = {{"path", path_width(inputs)}, {"tags", 0}};
    }
    std::string row(const std::string& path, const Result& result) override {
        if (result.error)
            return "";
        std::string tags;
        for (const Tag& tag : result.tags)
            tags += (tags.empty() ? "" : ", ") + cli::printable(tag.label) + " " +
                    cli::fixed(100 * tag.probability, 1) + " %";
        const std::string header = headed_ ? "" : cli::table_header(columns_);
        headed_ = true;
        return header +
               cli::table_row(columns_,
                              {cli::shortened(cli::printable(path), columns_[0].width), tags});
    }

private:
    std::vector<cli::Column> columns_;
    bool headed_ = false; // when every photo failed there is no table
};

int tag(const TagFlags& flags) {
    const Labels labels = flags.labels.read();
    const int count = std::min(flags.top_k, static_cast<int>(labels.names.size()));
    return run_photos({.command = "tag",
                       .engine = flags.engine,
                       .paths = flags.paths,
                       .shard = flags.shard,
                       .text = true,
                       .tags = std::max(count, 1),
                       .prepare = [&](Engine& engine) { engine.set_labels(labels); },
                       .rows = [&](const std::vector<Input>& inputs,
                                   const Engine&) -> std::unique_ptr<RowFormat> {
                           if (flags.format == "table")
                               return std::make_unique<TagTable>(inputs);
                           if (flags.format == "csv")
                               return std::make_unique<CsvTags>(count);
                           return make_json_rows(flags.format, json_tags);
                       }});
}

constexpr const char* kTagExamples =
    R"(engine-run tag photos/ --labels "cat,dog,red car" --model clip-vit-base-patch32
engine-run tag photos/ --labels-file labels.txt --top-k 3 --format jsonl > tags.jsonl
engine-run tag photo.jpg --labels "day,night" --template "a photo taken at {}")";

} // namespace

cli::Command tag_command() {
    auto flags = std::make_shared<TagFlags>();
    cli::Command command("tag", "The likeliest of some labels for each photo (zero-shot).",
                         kTagExamples);
    command.arguments("PATH...",
                      "photos, folders (searched at any depth), or - for a list of paths on stdin",
                      flags->paths, true);
    flags->engine.add_model(command);
    flags->engine.add_device(command);
    flags->engine.add_photos(command);
    flags->labels.add(command);
    command
        .number("top-k", "N", "labels for each photo, likeliest first (default: 5)", flags->top_k,
                1, 64)
        .choice("format", "what is printed (default: table)", flags->format,
                {"table", "json", "jsonl", "csv"})
        .add({"shard", "I/N", "only the I-th of N consecutive parts of the photos", false,
              [flags](const std::string& text, const std::string& label) {
                  flags->shard = parse_shard(text, label);
              }});
    flags->engine.add_verbosity(command);
    command.run([flags] { return tag(*flags); });
    return command;
}

} // namespace yeoul::run

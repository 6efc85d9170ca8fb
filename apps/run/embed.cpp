// engine-run embed: a vector per photo.
#include <chrono>
#include <iostream>
#include <stop_token>

#include "apps/cli/console.h"
#include "apps/cli/engine_flags.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/progress.h"
#include "apps/cli/stop_signals.h"
#include "apps/cli/table.h"
#include "apps/run/commands.h"
#include "apps/run/inputs.h"
#include "apps/run/photo_stream.h"
#include "apps/run/rows.h"
#include "apps/run/vectors_file.h"
#include "loader/image.h"

namespace yeoul::run {
namespace {

struct EmbedFlags {
    cli::EngineFlags engine;
    std::vector<std::string> paths;
    std::string format, output;
    Shard shard;
    bool normalize = false;
};

class Stopwatch {
public:
    double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::vector<Input> inputs_of(const EmbedFlags& flags) {
    std::vector<Input> inputs = find_photos(flags.paths, std::cin);
    if (inputs.empty()) {
        std::string extensions, paths;
        for (std::string_view extension : loader::known_extensions())
            extensions += (extensions.empty() ? "" : " ") + std::string(extension);
        for (const std::string& path : flags.paths)
            paths += (paths.empty() ? "'" : ", '") + path + "'";
        throw Error(ErrorCode::io, "no photo in " + paths + " (a folder is searched for " +
                                       extensions + "); name files or another folder");
    }
    return take_shard(std::move(inputs), flags.shard);
}

/// The run of one command: where results go and what is counted.
class Embed {
public:
    explicit Embed(const EmbedFlags& flags) : flags_(flags), console_(flags.engine.verbosity()) {}

    int run() {
        // Before the signals are held: one ends a long scan or a waiting stdin at once.
        const std::vector<Input> inputs = inputs_of(flags_);
        std::stop_source stop;
        const cli::StopSignals signals([&] { stop.request_stop(); });
        if (!flags_.output.empty())
            file_ = open_vectors_file(flags_.output, inputs);
        const Stopwatch loading;
        Engine engine = Engine::open(flags_.engine.options(console_));
        console_.info("model " + cli::describe_model(engine.info()));
        console_.info("device " + cli::describe_device(engine.device()) + "; ready in " +
                      cli::fixed(loading.seconds(), 2) + " s");

        // A file is the result then; a table beside it would only be noise in a script.
        const bool print = !flags_.format.empty() || flags_.output.empty();
        const std::string format = flags_.format.empty() ? "table" : flags_.format;
        if (print)
            rows_ = make_row_format(format, inputs, engine.info().dim);
        embed(engine, inputs, stop.get_token());
        return signals.caught() ? cli::kSignalBase + signals.caught()
               : lost_          ? cli::kDevice
               : errors_        ? cli::kSomeFailed
                                : cli::kDone;
    }

private:
    void embed(Engine& engine, const std::vector<Input>& inputs, std::stop_token stop) {
        const Stopwatch watch;
        cli::Progress progress(console_.terminal());
        if (file_)
            file_->begin(engine.info().dim);
        if (rows_)
            print(rows_->begin());
        stream_photos(
            engine, inputs, {.normalize = flags_.normalize, .stop = stop},
            [&](const Input& input, const Result& result) { answer(input, result); },
            [&](size_t finished) {
                std::cout.flush();
                if (auto line =
                        progress.update(counts(engine, finished, inputs.size()), watch.seconds()))
                    console_.progress(*line);
            });
        if (rows_)
            print(rows_->end());
        std::cout.flush();
        console_.end_progress();
        // Nothing is no result: a good file of an earlier run stays.
        const bool written = file_ && !(stop.stop_requested() && answered_ == 0);
        if (written)
            file_->finish();
        if (stop.stop_requested())
            console_.warning("stopped by a signal: " + cli::grouped(answered_) + " of " +
                             cli::grouped(inputs.size()) + " photos done" +
                             (file_ && !written ? ", nothing written" : ""));
        summarize(watch.seconds(), written);
    }

    void answer(const Input& input, const Result& result) {
        ++answered_;
        if (file_)
            file_->add(input.path, result);
        if (rows_) // on a terminal, rows and the progress line share the screen
            print(rows_->row(input.path, result));
        if (result.error) {
            ++errors_;
            lost_ |= result.error->code == ErrorCode::device_lost;
            console_.error(input.path + ": " + std::string(name(result.error->code)) + ": " +
                           result.error->message);
        }
    }

    void print(const std::string& text) {
        if (text.empty())
            return;
        if (console_.terminal())
            console_.end_progress();
        std::cout << text;
        if (!std::cout)
            throw Error(ErrorCode::io, "standard output cannot be written");
    }

    cli::ProgressCounts counts(const Engine& engine, size_t finished, size_t total) const {
        const EngineStats stats = engine.stats();
        return {.done = finished,
                .total = total,
                .errors = errors_,
                .decode_seconds = stats.decode_seconds,
                .compute_seconds = stats.compute_seconds,
                .threads = engine.device().threads,
                .streams = engine.device().streams};
    }

    void summarize(double seconds, bool written) {
        const auto answered = static_cast<int64_t>(answered_);
        std::string text = cli::grouped(answered) + (answered == 1 ? " photo" : " photos");
        text += " in " + cli::fixed(seconds, 2) + " s";
        if (const size_t good = answered_ - errors_; good > 0 && seconds > 0)
            text += ", " + cli::fixed(static_cast<double>(good) / seconds, 1) + " a second";
        if (written)
            text += ", written to " + flags_.output;
        console_.info(text);
        if (errors_)
            console_.error(cli::grouped(static_cast<int64_t>(errors_)) + " of " +
                           cli::grouped(answered) +
                           (errors_ == 1 && answered == 1 ? " photo" : " photos") + " failed");
    }

    const EmbedFlags& flags_;
    cli::Console console_;
    std::unique_ptr<VectorsFile> file_;
    std::unique_ptr<RowFormat> rows_;
    size_t answered_ = 0, errors_ = 0;
    bool lost_ = false; // the device, and with it all photos after some moment
};

constexpr const char* kExamples =
    R"(engine-run embed photo.jpg                              a table, by the bundled model
engine-run embed photos/ --output vectors.npy           float32 (n, dim), folder searched
engine-run embed photos/ --format jsonl > vectors.jsonl one {"path", "embedding"} a line
find . -name '*.jpg' | engine-run embed - --model clip-vit-base-patch32 --normalize
engine-run embed photos/ --shard 2/8 --output part2.npy the second of eight machines)";

} // namespace

cli::Command embed_command() {
    auto flags = std::make_shared<EmbedFlags>();
    cli::Command command("embed", "A vector per photo.", kExamples);
    command.arguments(
        "PATH...",
        "photos, folders (searched at any depth), or - for a list of paths on stdin, one "
        "per line or separated by NUL (find -print0)",
        flags->paths, true);
    flags->engine.add_model(command);
    flags->engine.add_device(command);
    flags->engine.add_photos(command);
    command
        .toggle("normalize", "divide each vector by its length (default: off, as transformers)",
                flags->normalize, true)
        .choice("format",
                "what is printed (default: table; with --output and without --format, nothing)",
                flags->format, {"table", "json", "jsonl", "csv"})
        .text("output", "FILE",
              "write vectors to a .npy, .safetensors or .jsonl; failed photos are rows of NaN",
              flags->output)
        .add({"shard", "I/N", "only the I-th of N consecutive parts of the photos", false,
              [flags](const std::string& text, const std::string& label) {
                  flags->shard = parse_shard(text, label);
              }});
    flags->engine.add_verbosity(command);
    command.run([flags] { return Embed(*flags).run(); });
    return command;
}

} // namespace yeoul::run

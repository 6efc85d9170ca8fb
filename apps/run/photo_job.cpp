#include "apps/run/photo_job.h"

#include <chrono>
#include <iostream>
#include <stop_token>

#include "apps/cli/console.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/progress.h"
#include "apps/cli/stop_signals.h"
#include "apps/cli/table.h"
#include "apps/run/photo_stream.h"
#include "apps/run/vectors_file.h"
#include "loader/image.h"

namespace yeoul::run {
namespace {

class Stopwatch {
public:
    double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::vector<Input> inputs_of(const PhotoJob& job) {
    std::vector<Input> inputs = find_photos(job.paths, std::cin);
    if (inputs.empty()) {
        std::string extensions, paths;
        for (std::string_view extension : loader::known_extensions())
            extensions += (extensions.empty() ? "" : " ") + std::string(extension);
        for (const std::string& path : job.paths)
            paths += (paths.empty() ? "'" : ", '") + path + "'";
        throw Error(ErrorCode::io, "no photo in " + paths + " (a folder is searched for " +
                                       extensions + "); name files or another folder");
    }
    return take_shard(std::move(inputs), job.shard);
}

/// The run of one job: where results go and what is counted.
class PhotoRun {
public:
    explicit PhotoRun(const PhotoJob& job) : job_(job), console_(job.engine.verbosity()) {}

    int run() {
        // Before the signals are held: one ends a long scan or a waiting stdin at once.
        const std::vector<Input> inputs = inputs_of(job_);
        std::stop_source stop;
        const cli::StopSignals signals([&] { stop.request_stop(); });
        if (!job_.output.empty())
            file_ = open_vectors_file(job_.output, inputs);
        const Stopwatch loading;
        EngineOptions options = job_.engine.options(console_);
        options.text = job_.text;
        Engine engine = Engine::open(options);
        if (job_.prepare)
            job_.prepare(engine);
        console_.info("model " + cli::describe_model(engine.info()));
        console_.info("device " + cli::describe_device(engine.device()) + "; ready in " +
                      cli::fixed(loading.seconds(), 2) + " s");

        if (job_.rows)
            rows_ = job_.rows(inputs, engine);
        stream(engine, inputs, stop.get_token());
        return signals.caught() ? cli::kSignalBase + signals.caught()
               : lost_          ? cli::kDevice
               : errors_        ? cli::kSomeFailed
                                : cli::kDone;
    }

private:
    void stream(Engine& engine, const std::vector<Input>& inputs, std::stop_token stop) {
        const Stopwatch watch;
        cli::Progress progress(job_.command, console_.terminal());
        if (file_)
            file_->begin(engine.info().dim);
        if (rows_)
            print(rows_->begin());
        stream_photos(
            engine, inputs, {.normalize = job_.normalize, .tags = job_.tags, .stop = stop},
            [&](const Input& input, const Result& result) { answer(input, result); },
            [&](size_t finished) {
                std::cout.flush();
                if (auto line =
                        progress.update(counts(engine, finished, inputs.size()), watch.seconds()))
                    console_.progress(*line);
            });
        if (rows_)
            print(rows_->end());
        if (job_.finish && !stop.stop_requested())
            print(job_.finish(engine));
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
        if (job_.answer)
            job_.answer(input, result);
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
            text += ", written to " + job_.output;
        console_.info(text);
        if (errors_)
            console_.error(cli::grouped(static_cast<int64_t>(errors_)) + " of " +
                           cli::grouped(answered) +
                           (errors_ == 1 && answered == 1 ? " photo" : " photos") + " failed");
    }

    const PhotoJob& job_;
    cli::Console console_;
    std::unique_ptr<VectorsFile> file_;
    std::unique_ptr<RowFormat> rows_;
    size_t answered_ = 0, errors_ = 0;
    bool lost_ = false; // the device, and with it all photos after some moment
};

} // namespace

int run_photos(const PhotoJob& job) {
    return PhotoRun(job).run();
}

} // namespace yeoul::run

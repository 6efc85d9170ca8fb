// engine-bench serve: the experiment that every team makes that serves one photo at a time.
#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <sstream>

#include "apps/bench/commands.h"
#include "apps/bench/environment.h"
#include "apps/bench/http_target.h"
#include "apps/bench/measured_model.h"
#include "apps/bench/output.h"
#include "apps/bench/sample_photo.h"
#include "apps/bench/served_engine.h"
#include "apps/cli/engine_flags.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/table.h"

namespace yeoul::bench {
namespace {

struct ServeFlags {
    std::string model, arch, device = "auto", precision = "auto", photos = "pixels";
    std::string size = "1152x864";
    std::string modes = "single,streams:2,streams:4,instances:2,batch32,dynamic";
    std::vector<std::string> arrivals = {"closed"};
    std::vector<int> rates;
    int clients = 64, load = 80, threads = 0, batch_size = 0;
    int seconds = 10, warmup_seconds = 2, rounds = 3, batch_timeout_ms = 100;
    int64_t seed = 1;
    bool shared_weights = true;
    std::vector<std::string> urls;
    std::string api_key;
    OutputFlags output;
};

constexpr int kPhotos = 8; // different ones
constexpr double kMib = 1 << 20;

/// "1152x864": width and height.
std::pair<int, int> parse_size(const std::string& text) {
    int width = 0, height = 0;
    const char *at = text.data(), *end = at + text.size();
    const auto first = std::from_chars(at, end, width);
    bool good = first.ec == std::errc() && first.ptr != end && *first.ptr == 'x';
    if (good) {
        const auto second = std::from_chars(first.ptr + 1, end, height);
        good = second.ec == std::errc() && second.ptr == end;
    }
    YEOUL_REQUIRE(good && width >= 1 && height >= 1 && width <= 16384 && height <= 16384,
                  "--size is '" << text << "', must be WIDTHxHEIGHT, as in 1152x864");
    return {width, height};
}

std::vector<Photo> jpeg_photos(const ServeFlags& flags) {
    std::vector<Photo> photos;
    const auto [width, height] = parse_size(flags.size);
    for (uint64_t seed = 0; seed < kPhotos; ++seed)
        photos.push_back(Photo::bytes(sample_jpeg(height, width, seed)));
    return photos;
}

std::vector<Photo> pixel_photos(const ModelInfo& info) {
    std::vector<Photo> photos;
    for (uint64_t seed = 0; seed < kPhotos; ++seed)
        photos.push_back(Photo::rgb(sample_pixels(info.image_height, info.image_width, seed),
                                    info.image_height, info.image_width));
    return photos;
}

/// How photos come: from callers that wait for their answers, or at a rate.
struct Shape {
    std::string name;
    bool closed = true, bursty = false;
    double per_second = 0;
};

/// `load_rate` gives the rate when the flags name none.
template <class LoadRate>
std::vector<Shape> shapes(const ServeFlags& flags, const LoadRate& load_rate) {
    std::vector<Shape> all;
    for (const std::string& name : flags.arrivals) {
        if (name == "closed") {
            all.push_back({"closed, " + std::to_string(flags.clients) + " clients"});
            continue;
        }
        std::vector<double> rates(flags.rates.begin(), flags.rates.end());
        if (rates.empty())
            rates = {load_rate()};
        for (double rate : rates)
            all.push_back({name + ", " + cli::fixed(rate, rate < 100 ? 1 : 0) + "/s", false,
                           name == "bursty", rate});
    }
    return all;
}

LoadPlan load_plan(const ServeFlags& flags, const Shape& shape, const std::vector<Photo>& photos) {
    LoadPlan plan{.photos = photos,
                  .clients = shape.closed ? flags.clients : 0,
                  .arrivals = {},
                  .warmup_seconds = static_cast<double>(flags.warmup_seconds),
                  .seconds = static_cast<double>(flags.seconds)};
    const double photos_due = shape.per_second * (plan.warmup_seconds + plan.seconds);
    if (!shape.closed) // twice as many: some stretches are thin
        plan.arrivals = batching::arrivals(
            shape.bursty ? batching::Traffic::bursty : batching::Traffic::poisson, shape.per_second,
            10 + static_cast<int64_t>(2 * photos_due), static_cast<uint64_t>(flags.seed));
    return plan;
}

/// What one mode did under one load, a value per round.
struct Cell {
    DeviceInfo device;
    ServedMemory memory;
    std::map<std::string, std::vector<double>> samples; // by column
    int64_t failed = 0;

    void add(const LoadResult& result) {
        failed += result.failed;
        if (result.per_second == 0)
            throw Error(ErrorCode::io, result.first_failure.empty()
                                           ? "too few photos were answered; take more --seconds"
                                           : "every photo failed: " + result.first_failure);
        samples["photos/s"].push_back(result.per_second);
        samples["p50 ms"].push_back(percentile(result.latencies_ms, 0.5));
        samples["p95 ms"].push_back(percentile(result.latencies_ms, 0.95));
        samples["p99 ms"].push_back(percentile(result.latencies_ms, 0.99));
        samples["device %"].push_back(100 * result.device_share);
    }
    double median(const std::string& name) const { return summarize(samples.at(name)).median; }
    std::vector<double> ms_per_photo() const {
        std::vector<double> ms;
        for (double rate : samples.at("photos/s"))
            ms.push_back(1000 / rate);
        return ms;
    }
    void add_times(Measurement& measurement) const {
        for (const char* name : {"p50 ms", "p95 ms", "p99 ms"})
            measurement.values.push_back({name, median(name), 1});
    }
};

class Experiment {
public:
    Experiment(const ServeFlags& flags, const MeasuredModel& model) : flags_(flags), model_(model) {
        setup_.engine.model = model.path();
        setup_.engine.device = flags.device;
        setup_.engine.precision = cli::parse_precision(flags.precision);
        setup_.engine.threads = flags.threads;
        setup_.engine.batch_size = flags.batch_size;
        setup_.batch_timeout_ms = flags.batch_timeout_ms;
        setup_.shared_weights = flags.shared_weights;
        std::istringstream modes(flags.modes);
        for (std::string name; std::getline(modes, name, ',');)
            modes_.push_back(ServeMode::parse(name));
        YEOUL_REQUIRE(!modes_.empty(), "--mode is empty; name one, as in --mode dynamic");
    }

    /// The modes take turns within a round, so that what disturbs the machine disturbs all.
    Report run() {
        Report report{.benchmark = "serve", .environment = environment(), .measurements = {}};
        for (const Shape& shape :
             shapes(flags_, [this] { return own_rate() * flags_.load / 100; })) {
            std::vector<Cell> cells(modes_.size());
            for (int round = 0; round < flags_.rounds; ++round)
                for (size_t i = 0; i < modes_.size(); ++i)
                    measure(modes_[i], shape, cells[i]);
            for (size_t i = 0; i < modes_.size(); ++i)
                report.measurements.push_back(measurement(modes_[i], shape, cells[i], cells));
        }
        return report;
    }

private:
    /// Of one photo at a time, measured once.
    double own_rate() {
        if (own_rate_ == 0) {
            Cell cell;
            measure(ServeMode::parse("single"), {"closed"}, cell);
            own_rate_ = cell.samples.at("photos/s").front();
        }
        return own_rate_;
    }

    void measure(const ServeMode& mode, const Shape& shape, Cell& cell) {
        ServedEngine engine(mode, setup_);
        if (photos_.empty())
            photos_ = flags_.photos == "jpeg" ? jpeg_photos(flags_) : pixel_photos(engine.info());
        cell.add(put_load(engine, load_plan(flags_, shape, photos_)));
        cell.device = engine.device();
        cell.memory = engine.memory();
        const ServedEngine::Passes passes = engine.passes();
        const auto share = [](int64_t part, int64_t whole) {
            return static_cast<double>(part) / static_cast<double>(std::max<int64_t>(1, whole));
        };
        cell.samples["mean batch"].push_back(share(passes.photos, passes.passes));
        cell.samples["padding %"].push_back(100 * (1 - share(passes.photos, passes.rows)));
    }

    Measurement measurement(const ServeMode& mode, const Shape& shape, const Cell& cell,
                            const std::vector<Cell>& all) const {
        Measurement m;
        m.key = {
            {"model", model_.name()},
            {"device", cell.device.kind},
            {"precision", std::string(yeoul::name(cell.device.dtype))},
            {"threads", std::to_string(cell.device.threads * mode.instances)},
            {"photos", flags_.photos == "jpeg" ? "jpeg " + flags_.size : flags_.photos},
            {"load", shape.name},
            {"mode",
             mode.name + (mode.instances > 1 && !flags_.shared_weights ? ", own weights" : "")}};
        m.samples_ms = cell.ms_per_photo();
        for (size_t i = 0; i < modes_.size(); ++i)
            if (modes_[i].name == "single")
                m.values.push_back(
                    {"/ single", cell.median("photos/s") / all[i].median("photos/s"), 2});
        cell.add_times(m);
        for (const char* name : {"mean batch", "padding %", "device %"})
            m.values.push_back({name, cell.median(name), 1});
        m.values.push_back(
            {"weights MiB", static_cast<double>(cell.memory.weight_bytes) / kMib, 1});
        m.values.push_back(
            {"allocated MiB", static_cast<double>(cell.memory.allocated_bytes) / kMib, 1});
        m.values.push_back(
            {"reserved MiB", static_cast<double>(cell.memory.reserved_bytes) / kMib, 1});
        m.values.push_back({"failed", static_cast<double>(cell.failed), 0});
        m.bound_by = cell.median("device %") >= 90 ? "device" : "what feeds it";
        return m;
    }

    const ServeFlags& flags_;
    const MeasuredModel& model_;
    ServeSetup setup_;
    std::vector<ServeMode> modes_;
    std::vector<Photo> photos_;
    double own_rate_ = 0;
};

/// An engine-serve that runs already.
Report serve_url(const ServeFlags& flags) {
    const HttpAddress address = HttpAddress::parse(flags.urls.front());
    Report report{.benchmark = "serve", .environment = environment(), .measurements = {}};
    const std::vector<Photo> photos = jpeg_photos(flags);
    const auto no_rate = []() -> double {
        throw Error(ErrorCode::invalid_argument, "photos for a URL come at --rates; name one");
    };
    for (const Shape& shape : shapes(flags, no_rate)) {
        Cell cell;
        for (int round = 0; round < flags.rounds; ++round) {
            HttpTarget target(address, flags.clients, flags.api_key);
            cell.add(put_load(target, load_plan(flags, shape, photos)));
        }
        Measurement m;
        m.key = {{"url", flags.urls.front()},
                 {"photos", "jpeg " + flags.size},
                 {"connections", std::to_string(flags.clients)},
                 {"load", shape.name}};
        m.samples_ms = cell.ms_per_photo();
        cell.add_times(m);
        m.values.push_back({"failed", static_cast<double>(cell.failed), 0});
        m.bound_by = "not known from here";
        report.measurements.push_back(std::move(m));
    }
    return report;
}

int serve(const ServeFlags& flags) {
    flags.output.check("serve");
    parse_size(flags.size);
    YEOUL_REQUIRE(flags.urls.size() <= 1,
                  "one URL at a time; the second is '" << flags.urls[1] << "'");
    if (!flags.urls.empty())
        return print(serve_url(flags), flags.output);
    const MeasuredModel model(flags.model, flags.arch);
    Experiment experiment(flags, model);
    return print(experiment.run(), flags.output);
}

} // namespace

cli::Command serve_command() {
    auto flags = std::make_shared<ServeFlags>();
    cli::Command command(
        "serve",
        "Single photos served in the ways that teams try one after another: one at a time, on "
        "several streams, by several instances, in fixed batches, in batches of what waits. "
        "Throughput, latency from sending to answer, the share of the time in which a pass runs, "
        "memory. docs/batching.md explains what comes out. With a URL: JPEG files to an "
        "engine-serve that runs.",
        "engine-bench serve --arch clip-vit-base-patch32\n"
        "engine-bench serve --model DIR --mode single,dynamic --photos jpeg\n"
        "engine-bench serve --arrivals poisson,bursty --load 80   # of what 'single' serves\n"
        "engine-bench serve --mode instances:2 --no-shared-weights\n"
        "engine-bench serve http://127.0.0.1:8000 --clients 32");
    command
        .arguments("URL", "of an engine-serve; none: engines in this process", flags->urls, false)
        .text("model", "DIR", "model directory (default: the bundled model)", flags->model)
        .text("arch", "NAME", "or random weights of this architecture, made for the run",
              flags->arch)
        .exclusive({"model", "arch"})
        .text("device", "DEVICE", "auto, cpu, cuda or cuda:N (default: auto)", flags->device)
        .choice("precision", "(default: auto, fp32 on a CPU)", flags->precision,
                {"auto", "fp32", "bf16", "fp16"})
        .number("threads", "N", "host threads, shared by instances (default: the cores)",
                flags->threads, 1, 1024)
        .text("mode", "MODE,...",
              "single, streams:N, instances:N, batchN (a fixed batch: waits until it is full), "
              "dynamic (default: single,streams:2,streams:4,instances:2,batch32,dynamic)",
              flags->modes)
        .number("batch-size", "N", "most photos in a pass of 'dynamic' (default: the device's)",
                flags->batch_size, 1, 1024)
        .number("batch-timeout-ms", "N",
                "a fixed batch that does not fill starts so long after its first photo came "
                "(default: 100)",
                flags->batch_timeout_ms, 1, 3'600'000)
        .toggle("shared-weights",
                "instances share one copy of the weights (default: yes); without, each loads its "
                "own, as processes do",
                flags->shared_weights, true)
        .choice("photos", "pixels of the model's size, or JPEG files to decode (default: pixels)",
                flags->photos, {"pixels", "jpeg"})
        .text("size", "WxH", "of the JPEG files (default: 1152x864)", flags->size)
        .selection("arrivals",
                   "closed (callers that wait for their answer), poisson, bursty (gamma gaps, "
                   "coefficient of variation 2.5) (default: closed)",
                   flags->arrivals, {"closed", "poisson", "bursty"})
        .text("api-key", "KEY", "that the URL's server asks for", flags->api_key)
        .number("clients", "N", "callers of a closed loop; connections to a URL (default: 64)",
                flags->clients, 1, 100000)
        .numbers("rates", "N,N", "photos per second of poisson and bursty", flags->rates, 1,
                 1'000'000)
        .number("load", "PERCENT",
                "instead: that share of what 'single' serves, measured first (default: 80)",
                flags->load, 1, 1000)
        .number("seconds", "N", "measured, per mode, load and round (default: 10)", flags->seconds,
                1, 100000)
        .number("warmup-seconds", "N", "before that (default: 2)", flags->warmup_seconds, 0, 1000)
        .number("rounds", "N", "in which the modes take turns (default: 3)", flags->rounds, 1, 1000)
        .number("seed", "N", "of poisson and bursty (default: 1)", flags->seed, 0,
                int64_t{1} << 62);
    flags->output.add(command);
    command.run([flags] { return serve(*flags); });
    return command;
}

} // namespace yeoul::bench

// bench_kernels: every op of a backend at the shapes of the CLIP models, against roofs that the
// same run measures.
//
// Each sample is a captured graph of several calls between two events; the calls rotate through
// memory of several times the L2. Rounds interleave all cases, so that a slow minute counts for
// all.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <vector>

#include "engine/backends.h"
#include "profiling/kernels/cases.h"

namespace yeoul::bench_kernels {
namespace {

constexpr const char* kUsage =
    "bench_kernels [--device auto|cpu|cuda|cuda:N] [--models b32,b16,l14] [--batches "
    "1,8,32,64,112]\n"
    "              [--ops NAME,...] [--rounds 9] [--sample-ms 3] [--l2-mb 64] [--square 8192]\n"
    "              [--threads N] [--quick] [--roof]\n"
    "Times every op and prints a markdown table. --quick: small shapes, a few rounds, for any "
    "device. --roof: only the large square product.\n"
    "Buffers rotate through four times --l2-mb: give at least the device's L2.";

struct Flags {
    std::string device = "auto";
    std::vector<std::string> models = {"b32", "b16", "l14"}, ops;
    std::vector<int> batches = {1, 8, 32, 64, 112};
    int rounds = 9, l2_mb = 64, square = 8192, labels = 1000, threads = 0;
    double sample_ms = 3;
};

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> words;
    std::istringstream in(text);
    for (std::string word; std::getline(in, word, ',');)
        words.push_back(word);
    return words;
}

int number(const std::string& flag, const std::string& text) {
    size_t used = 0;
    int value = 0;
    try {
        value = std::stoi(text, &used);
    } catch (const std::exception&) {
        used = 0;
    }
    YEOUL_REQUIRE(used == text.size() && used > 0 && value > 0,
                  flag << " is '" << text << "', must be a number of at least 1");
    return value;
}

Flags parse(int argc, char** argv) {
    Flags flags;
    for (int i = 1; i < argc; ++i) {
        const std::string flag = argv[i];
        if (flag == "--quick") {
            flags.models = {"tiny"};
            flags.batches = {1, 3};
            flags.rounds = 3;
            flags.sample_ms = 0.5;
            flags.l2_mb = 1;
            flags.square = 256;
            flags.labels = 10;
            continue;
        }
        if (flag == "--roof") {
            flags.models.clear();
            continue;
        }
        YEOUL_REQUIRE(i + 1 < argc, flag << " needs a value, or is not known\n" << kUsage);
        const std::string value = argv[++i];
        if (flag == "--device")
            flags.device = value;
        else if (flag == "--models")
            flags.models = split(value);
        else if (flag == "--ops")
            flags.ops = split(value);
        else if (flag == "--batches") {
            flags.batches.clear();
            for (const std::string& word : split(value))
                flags.batches.push_back(number(flag, word));
        } else if (flag == "--rounds")
            flags.rounds = number(flag, value);
        else if (flag == "--sample-ms")
            flags.sample_ms = number(flag, value);
        else if (flag == "--l2-mb")
            flags.l2_mb = number(flag, value);
        else if (flag == "--square")
            flags.square = number(flag, value);
        else if (flag == "--threads")
            flags.threads = number(flag, value);
        else
            throw Error(ErrorCode::invalid_argument, flag + " is not known\n" + kUsage);
    }
    return flags;
}

struct Samples {
    std::vector<double> us;

    double quantile(double share) const {
        std::vector<double> sorted = us;
        std::sort(sorted.begin(), sorted.end());
        const double at = share * static_cast<double>(sorted.size() - 1);
        const auto low = static_cast<size_t>(at);
        const size_t high = std::min(low + 1, sorted.size() - 1);
        return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
    }
    double median() const { return quantile(0.5); }
    /// The middle half over the median, in percent.
    double spread() const { return 100 * (quantile(0.75) - quantile(0.25)) / median(); }
};

/// A graph of some calls of one thing, and the times of one call.
class Timed {
public:
    Timed(Backend& backend, StreamRef stream, double sample_ms,
          std::function<void(int turn, StreamRef stream)> call)
        : backend_(backend), start_(backend), stop_(backend), call_(std::move(call)) {
        capture(1, stream);
        sample(stream); // warms up
        sample(stream);
        const double one_ms = std::max(1e-3, samples_.us.back() * 1e-3);
        samples_.us.clear();
        capture(std::clamp(static_cast<int>(std::lround(sample_ms / one_ms)), 1, 400), stream);
        sample(stream);
        samples_.us.clear();
    }
    void sample(StreamRef stream) {
        backend_.record(start_, stream);
        backend_.launch(*graph_, stream);
        backend_.record(stop_, stream);
        backend_.synchronize(EventRef(stop_));
        samples_.us.push_back(backend_.elapsed_ms(start_, stop_) * 1e3 / calls_);
    }
    const Samples& samples() const { return samples_; }

private:
    void capture(int calls, StreamRef stream) {
        calls_ = calls;
        backend_.begin_capture(stream);
        try {
            for (int turn = 0; turn < calls; ++turn)
                call_(turn, stream);
        } catch (...) {
            backend_.abandon_capture(stream);
            throw;
        }
        graph_ = backend_.end_capture(stream);
    }

    Backend& backend_;
    Event start_, stop_;
    std::function<void(int turn, StreamRef stream)> call_;
    std::unique_ptr<Graph> graph_;
    int calls_ = 1;
    Samples samples_;
};

std::string line(const Case& entry, const Samples& samples, double copy_gb_s, double roof_tflops) {
    const double us = samples.median();
    const double by_flop = entry.product && roof_tflops > 0 ? entry.flop / roof_tflops * 1e-6 : 0;
    const double by_bytes = entry.bytes / copy_gb_s * 1e-3;
    char text[400];
    std::snprintf(
        text, sizeof text, "| %s | %s | %d | %s | %s | %.2f | %.1f %% | %.1f | %s | %s | %.0f %% |",
        entry.op.c_str(), entry.model.c_str(), entry.batch, entry.shape.c_str(),
        entry.kernel.c_str(), us, samples.spread(), entry.bytes / us * 1e-3,
        entry.product ? std::to_string(entry.flop / us * 1e-6).substr(0, 6).c_str() : "",
        by_flop > by_bytes ? "products" : "bytes", 100 * std::max(by_flop, by_bytes) / us);
    return text;
}

int run(const Flags& flags) {
    const std::unique_ptr<Backend> backend = make_backend(flags.device, flags.threads);
    const Numerics numerics = backend->numerics("auto");
    const size_t rotate_bytes = size_t{4} * flags.l2_mb << 20;
    Cases cases(*backend, numerics, flags.batches, rotate_bytes);
    for (const std::string& model : flags.models) {
        cases.add_resize(shapes(model));
        cases.add(shapes(model));
        cases.add_others(shapes(model));
        cases.add_labels(shapes(model), flags.labels);
        cases.add_text(shapes(model));
    }
    cases.add_roof(flags.square);

    const DeviceProperties& device = backend->properties();
    std::cout << "# Kernels on " << device.name << " (" << device.kind << ", " << device.isa << ", "
              << name(numerics.compute) << ")\n\n";
    const Stream stream(*backend);
    const Values from(*backend, numerics.compute, rotate_bytes);
    const Values to(*backend, numerics.compute, rotate_bytes);
    Timed copy(*backend, stream, flags.sample_ms, [&](int, StreamRef on) {
        backend->copy(to.at(1, 0), from.at(1, 0), rotate_bytes, CopyKind::device_to_device, on);
    });

    std::vector<const Case*> entries;
    std::vector<std::unique_ptr<Timed>> timed;
    for (const Case& entry : cases.list()) {
        const bool asked = flags.ops.empty() || entry.model == "square" ||
                           std::count(flags.ops.begin(), flags.ops.end(), entry.op) > 0;
        if (!asked)
            continue;
        if (!entry.missing.empty()) {
            std::cout << "Not timed: " << entry.op << ", " << entry.model << ": " << entry.missing
                      << "\n\n";
            continue;
        }
        entries.push_back(&entry);
        timed.push_back(std::make_unique<Timed>(*backend, stream, flags.sample_ms, entry.call));
    }
    for (int round = 0; round < flags.rounds; ++round) {
        copy.sample(stream);
        for (const auto& one : timed)
            one->sample(stream);
    }

    const double copy_gb_s = 2e-3 * static_cast<double>(rotate_bytes) / copy.samples().median();
    double roof_tflops = 0;
    const Case* roof = nullptr;
    for (size_t i = 0; i < entries.size(); ++i) {
        const double tflops = entries[i]->flop / timed[i]->samples().median() * 1e-6;
        if (entries[i]->product && tflops > roof_tflops) {
            roof_tflops = tflops;
            roof = entries[i];
        }
    }
    std::printf("Roofs of this run: copy %.1f GB/s (%zu MB, spread %.1f %%)", copy_gb_s,
                rotate_bytes >> 20, copy.samples().spread());
    if (roof)
        std::printf("; products %.2f TFLOP/s (%s, %s, batch %d)", roof_tflops, roof->op.c_str(),
                    roof->model.c_str(), roof->batch);
    std::printf(".\n%d interleaved rounds; microseconds of one call in a graph, median, and the "
                "middle half over it.\nShare: the time that the nearer roof allows, of the time "
                "taken.\n\n",
                flags.rounds);
    std::printf("| op | model | batch | shape | kernel | us | spread | GB/s | TFLOP/s | bound by | "
                "share |\n|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < entries.size(); ++i)
        std::printf("%s\n", line(*entries[i], timed[i]->samples(), copy_gb_s, roof_tflops).c_str());
    return entries.empty() ? 1 : 0;
}

} // namespace
} // namespace yeoul::bench_kernels

int main(int argc, char** argv) {
    using namespace yeoul;
    if (argc == 2 && std::string(argv[1]) == "--help") {
        std::puts(bench_kernels::kUsage);
        return 0;
    }
    try {
        return bench_kernels::run(bench_kernels::parse(argc, argv));
    } catch (const Error& error) {
        std::fprintf(stderr, "bench_kernels: %s\n", error.what());
        return error.code() == ErrorCode::device ? 4 : 2;
    }
}

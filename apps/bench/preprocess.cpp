// engine-bench preprocess: encoded bytes to normalized floats, on one thread.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "apps/bench/commands.h"
#include "apps/bench/environment.h"
#include "apps/bench/output.h"
#include "apps/bench/sample_photo.h"
#include "apps/cli/console.h"
#include "apps/cli/table.h"
#include "loader/preprocess.h"

namespace yeoul::bench {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct PreprocessFlags {
    std::vector<std::string> paths;
    std::string model, decode = "exact", save;
    int repetitions = 20, warmup = 3;
    OutputFlags output;
};

struct BenchPhoto {
    std::string name;
    std::vector<uint8_t> encoded;
};

double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

std::vector<uint8_t> read_file(const std::string& path) {
    std::error_code error;
    YEOUL_REQUIRE(!fs::is_directory(path, error), "'" << path << "' is a folder; name image files");
    std::ifstream in(path, std::ios::binary);
    YEOUL_REQUIRE(in, "'" << path << "' cannot be read; name image files");
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<BenchPhoto> photos(const PreprocessFlags& flags) {
    std::vector<BenchPhoto> all;
    for (const std::string& path : flags.paths)
        all.push_back({fs::path(path).filename().string(), read_file(path)});
    if (all.empty())
        all = {{"1920x1280.jpg", sample_jpeg(1280, 1920, 1)},
               {"4000x3000.jpg", sample_jpeg(3000, 4000, 2)}};
    if (flags.save.empty())
        return all;
    fs::create_directories(flags.save);
    for (const BenchPhoto& photo : all) {
        std::ofstream out(fs::path(flags.save) / photo.name, std::ios::binary);
        out.write(reinterpret_cast<const char*>(photo.encoded.data()),
                  static_cast<std::streamsize>(photo.encoded.size()));
        if (!out.flush())
            throw Error(ErrorCode::io, "--save is '" + flags.save + "', which cannot be written");
    }
    return all;
}

/// x (height * width, 3) u8, y (3, height * width): what a forward pass without its own
/// normalization would be given.
void normalize(const std::vector<uint8_t>& x, const std::array<std::array<float, 256>, 3>& table,
               std::vector<float>& y) {
    const size_t plane = x.size() / 3;
    for (size_t channel = 0; channel < 3; ++channel) {
        const float* values = table[channel].data();
        float* out = y.data() + channel * plane;
        for (size_t i = 0; i < plane; ++i)
            out[i] = values[x[3 * i + channel]];
    }
}

Measurement measure(const BenchPhoto& photo, const loader::Preprocessor& preprocessor,
                    const PreprocessFlags& flags) {
    const loader::DecodeOptions options{.fast = flags.decode == "fast"};
    const auto table = preprocessor.normalization_table();
    std::vector<uint8_t> pixels(static_cast<size_t>(preprocessor.output_height()) *
                                preprocessor.output_width() * 3);
    std::vector<float> tensor(pixels.size());
    Measurement measurement;
    std::vector<double> decode, resize, normalization;
    loader::Preprocessed done;
    for (int i = -flags.warmup; i < flags.repetitions; ++i) {
        const Clock::time_point start = Clock::now();
        done = loader::preprocess(photo.encoded, preprocessor, options, pixels.data());
        const Clock::time_point prepared = Clock::now();
        normalize(pixels, table, tensor);
        const double normalize_ms = ms_since(prepared), total_ms = ms_since(start);
        if (i < 0)
            continue;
        decode.push_back(done.decode_ms);
        resize.push_back(done.resize_ms);
        normalization.push_back(normalize_ms);
        measurement.samples_ms.push_back(total_ms);
    }
    measurement.key = {{"photo", photo.name},
                       {"size", std::to_string(done.width) + "x" + std::to_string(done.height)},
                       {"format", std::string(loader::name(done.format))},
                       {"decode", flags.decode}};
    const Summary decoding = summarize(decode), resizing = summarize(resize);
    measurement.values = {{"decode ms", decoding.median, 2},
                          {"resize ms", resizing.median, 2},
                          {"normalize ms", summarize(normalization).median, 2}};
    measurement.bound_by = decoding.median > resizing.median ? "decode" : "resize";
    return measurement;
}

int preprocess(const PreprocessFlags& flags) {
    flags.output.check("preprocess");
    loader::Preprocessor preprocessor;
    if (!flags.model.empty())
        preprocessor = loader::read_preprocessor(flags.model);
    Report report{.benchmark = "preprocess", .environment = environment(), .measurements = {}};
    report.environment.emplace_back("threads", "1");
    for (const BenchPhoto& photo : photos(flags)) {
        try {
            report.measurements.push_back(measure(photo, preprocessor, flags));
        } catch (const Error& error) {
            throw Error(error.code(), "'" + photo.name + "': " + error.what());
        }
    }
    return print(report, flags.output);
}

} // namespace

cli::Command preprocess_command() {
    auto flags = std::make_shared<PreprocessFlags>();
    cli::Command command(
        "preprocess",
        "Encoded photos to normalized floats, on one thread: decode, resize, crop, "
        "normalize.",
        "engine-bench preprocess\n"
        "engine-bench preprocess a.jpg b.png --repetitions 50 --format json");
    command
        .arguments("[PATH...]",
                   "photos (default: two generated JPEGs, 1920x1280 and 12 megapixels)",
                   flags->paths, false)
        .text("model", "DIR", "take its preprocessor (default: CLIP's, 224x224)", flags->model)
        .choice("decode", "exact, or fast for JPEG at reduced scale (default: exact)",
                flags->decode, {"exact", "fast"})
        .number("repetitions", "N", "timed runs of each photo (default: 20)", flags->repetitions, 1,
                100000)
        .number("warmup", "N", "runs before that (default: 3)", flags->warmup, 0, 1000)
        .text("save", "DIR", "also write the photos there, to measure something else with them",
              flags->save);
    flags->output.add(command);
    command.run([flags] { return preprocess(*flags); });
    return command;
}

} // namespace yeoul::bench

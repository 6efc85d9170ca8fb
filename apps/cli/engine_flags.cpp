#include "apps/cli/engine_flags.h"

#include "apps/cli/json_text.h"
#include "apps/cli/model_path.h"
#include "apps/cli/table.h"

namespace yeoul::cli {

void EngineFlags::add_model(Command& command) {
    command.text("model", "DIR",
                 "model directory as on the Hugging Face hub (default: the bundled model)", model);
}

void EngineFlags::add_device(Command& command) {
    command.text("device", "DEVICE", "auto, cpu, cuda or cuda:N (default: auto)", device)
        .choice("precision", "what the forward pass computes in (default: auto, fp32 on a CPU)",
                precision, {"auto", "fp32", "bf16", "fp16"})
        .number("batch-size", "N", "most photos in one forward pass (default: the device's)",
                batch_size, 1, 1024)
        .number("streams", "N", "compute streams, which share the weights (default: 1)", streams, 1,
                4)
        .bytes("budget", "SIZE",
               "the most device memory, as in 15GiB or 512MiB; what needs more is refused before "
               "it starts (default: what is free)",
               budget)
        .number("threads", "N", "host threads for decoding and math (default: the cores)", threads,
                1, 1024);
}

void EngineFlags::add_photos(Command& command) {
    command
        .choice("decode",
                "exact gives Pillow's pixels; fast may decode a JPEG at reduced scale (default: "
                "exact)",
                decode, {"exact", "fast"})
        .number("max-pixels", "N", "refuse larger photos (default: 178956970, Pillow's limit)",
                max_pixels, 1, INT64_MAX)
        .choice("alpha",
                "white lays transparent pixels on white, as transformers 5 does; drop keeps the "
                "colours under them, as transformers 4 and open_clip do (default: white)",
                alpha, {"white", "drop"})
        .toggle("exif-rotate", "turn photos upright by their EXIF orientation", exif_rotate, true)
        .text("trace", "FILE",
              "write what ran when, on threads and streams; ui.perfetto.dev shows it", trace);
}

void EngineFlags::add_verbosity(Command& command) {
    command.toggle("quiet", "only warnings and errors on stderr", quiet)
        .toggle("verbose", "say more on stderr, with the time", verbose)
        .exclusive({"quiet", "verbose"});
}

Verbosity EngineFlags::verbosity() const {
    YEOUL_REQUIRE(!(quiet && verbose), "--quiet and --verbose exclude each other; give one");
    return quiet ? Verbosity::quiet : verbose ? Verbosity::verbose : Verbosity::normal;
}

EngineOptions EngineFlags::options(Console& console) const {
    EngineOptions options;
    options.model = model_path(model);
    options.device = device;
    options.precision = parse_precision(precision);
    options.batch_size = batch_size;
    options.streams = streams;
    options.threads = threads;
    options.memory_budget_bytes = budget;
    options.max_pixels = max_pixels;
    options.exif_rotate = exif_rotate;
    options.drop_alpha = alpha == "drop";
    options.fast_decode = decode == "fast";
    options.trace = trace;
    options.log = [&console](LogLevel level, std::string_view text) { console.log(level, text); };
    return options;
}

Precision parse_precision(const std::string& name) {
    if (name == "fp32")
        return Precision::fp32;
    if (name == "bf16")
        return Precision::bf16;
    if (name == "fp16")
        return Precision::fp16;
    return Precision::automatic;
}

std::string describe_model(const ModelInfo& info) {
    return info.family + " from " + info.path.string() + ": " + std::to_string(info.image_width) +
           "x" + std::to_string(info.image_height) + " photos to " + std::to_string(info.dim) +
           " numbers, " + fixed(static_cast<double>(info.parameters) / 1e6, 1) + " M parameters";
}

std::string describe_device(const DeviceInfo& device) {
    auto counted = [](int count, const std::string& word) {
        return std::to_string(count) + " " + word + (count == 1 ? "" : "s");
    };
    return device.kind + " " + device.name + ", " + std::string(name(device.dtype)) + ", " +
           counted(device.threads, "thread") + ", " + counted(device.streams, "stream") +
           ", batches of up to " + std::to_string(device.batch_size);
}

std::string device_json(const DeviceInfo& device) {
    return JsonObject()
        .text("kind", device.kind)
        .text("name", device.name)
        .text("dtype", name(device.dtype))
        .number("threads", device.threads)
        .number("streams", device.streams)
        .number("batch_size", device.batch_size)
        .str();
}

} // namespace yeoul::cli

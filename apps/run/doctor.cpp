// engine-run doctor: what this machine and build can do, and the fix for what they cannot.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "apps/cli/console.h"
#include "apps/cli/engine_flags.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/json_text.h"
#include "apps/cli/table.h"
#include "apps/cli/version.h"
#include "apps/run/commands.h"
#include "engine/backends.h"
#include "loader/image.h"

namespace yeoul::run {
namespace {

constexpr const char* kNoneNeeded = "none needed: the CPU backend serves every command; ";

struct Finding {
    std::string what;
    std::string status; // "ok", "absent" or "FAILED"
    std::string detail, fix;
};

std::string list(const std::vector<std::string>& items) {
    std::string text;
    for (const std::string& item : items)
        text += (text.empty() ? "" : ", ") + item;
    return text;
}

/// Colour ramps and a few edges: every part of the pass has something to work on.
Photo generated_photo(int height, int width) {
    std::vector<uint8_t> pixels;
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const bool disc =
                (x - width / 3) * (x - width / 3) + (y - height / 2) * (y - height / 2) <
                height * height / 16;
            pixels.push_back(disc ? 230 : static_cast<uint8_t>(255 * x / width));
            pixels.push_back(disc ? 40 : static_cast<uint8_t>(255 * y / height));
            pixels.push_back(static_cast<uint8_t>((x / 8 + y / 8) % 2 ? 200 : 60));
        }
    return Photo::rgb(std::move(pixels), height, width);
}

Finding failed(std::string what, std::string detail, std::string fix) {
    return {std::move(what), "FAILED", std::move(detail), std::move(fix)};
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::string fix_of(const Error& error, const cli::EngineFlags& flags) {
    if (error.code() == ErrorCode::model)
        return "name a model directory that loads, with --model DIR";
    if (flags.precision != "auto" && flags.precision != "fp32")
        return "take --precision fp32";
    if (error.code() == ErrorCode::out_of_memory)
        return "take a smaller --batch-size";
    return "take --device cpu and the defaults of the other flags";
}

/// One photo twice: finite and the same bits; and another beside it, which must differ.
Finding self_test(const cli::EngineFlags& flags, const std::string& device, cli::Console& console) {
    const std::string what = "self-test " + device;
    try {
        EngineOptions options = flags.options(console);
        options.device = device;
        Engine engine = Engine::open(options);
        const Photo photo = generated_photo(240, 320);
        const std::vector<Result> once = engine.embed({photo}), again = engine.embed({photo});
        const std::vector<Result> pair = engine.embed({photo, generated_photo(300, 200)});
        for (const std::vector<Result>* results : {&once, &again, &pair})
            for (const Result& result : *results)
                if (result.error)
                    return failed(what, result.error->message, "report it with the model's name");
        const std::vector<float>& vector = once[0].embedding;
        if (!std::all_of(vector.begin(), vector.end(), [](float v) { return std::isfinite(v); }))
            return failed(what, "the vector is not finite", "try --precision fp32");
        if (!same_bits(vector, again[0].embedding))
            return failed(
                what, "the same photo gave two vectors",
                "report it with this output; memory or an overclocked processor may fail");
        if (same_bits(vector, pair[1].embedding))
            return failed(what, "two photos gave one vector", "the model directory may be damaged");
        return {what, "ok",
                cli::describe_model(engine.info()) + "; computed twice, equal; " +
                    cli::fixed(again[0].times.compute_ms, 1) + " ms",
                ""};
    } catch (const Error& error) {
        return failed(what, error.what(), fix_of(error, flags));
    }
}

/// The engine refuses such a device when it is opened; a finding for it would have no row.
void require_known_device(const std::string& device) {
    try {
        make_backend(device, 1);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::invalid_argument)
            throw;
    }
}

bool loads_eagerly() {
    const char* text = std::getenv("CUDA_MODULE_LOADING");
    return text && std::strcmp(text, "EAGER") == 0;
}

std::string describe(const BackendReport& backend) {
    const std::string precisions = "precisions " + list(backend.precisions);
    if (backend.kind == "cpu")
        return backend.properties.name + ", " + std::to_string(usable_cores()) +
               (usable_cores() == 1 ? " core" : " cores") + " for this process, " + precisions;
    return backend.properties.name + ", " + backend.properties.isa + ", " +
           std::to_string(backend.properties.compute_units) + " SMs, " + precisions +
           ", built for " + backend.targets;
}

std::vector<Finding> examine(const cli::EngineFlags& flags, cli::Console& console) {
    std::vector<Finding> findings;
    findings.push_back({"build", "ok", "yeoul " + std::string(version()), ""});
    findings.push_back({"libraries", "ok", list(cli::library_versions()), ""});
    std::vector<std::string> extensions;
    for (std::string_view extension : loader::known_extensions())
        extensions.emplace_back(extension);
    findings.push_back({"photos", "ok", list(extensions), ""});
    for (const BackendReport& backend : probe_backends(flags.device)) {
        if (backend.usable) {
            findings.push_back({"device " + backend.device, "ok", describe(backend), ""});
            if (backend.kind == "cuda" && loads_eagerly())
                findings.push_back({"kernels", "ok",
                                    "CUDA_MODULE_LOADING is EAGER: each process holds every kernel "
                                    "of cuBLASLt, which the memory plan does not count",
                                    "unset CUDA_MODULE_LOADING"});
            findings.push_back(self_test(flags, backend.device, console));
        } else {
            // A GPU is an offer; only the device that everything falls back to must work.
            const bool asked = backend.kind != "cpu" && flags.device.starts_with(backend.kind);
            const std::string fix = asked ? backend.fix + ", or take --device cpu"
                                    : backend.kind == "cpu" || backend.surprising
                                        ? backend.fix
                                        : kNoneNeeded + backend.fix;
            findings.push_back({"device " + backend.device,
                                asked || backend.kind == "cpu" ? "FAILED" : "absent",
                                backend.problem, fix});
        }
    }
    return findings;
}

std::string findings_table(const std::vector<Finding>& findings) {
    std::vector<std::vector<std::string>> rows;
    for (const Finding& finding : findings)
        rows.push_back({finding.what, finding.status,
                        finding.detail + (finding.fix.empty() ? "" : " -> " + finding.fix)});
    return cli::table({{"what"}, {"status"}, {"detail -> fix"}}, rows);
}

std::string findings_json(const std::vector<Finding>& findings) {
    return cli::json_list(findings,
                          [](const Finding& finding) {
                              return cli::JsonObject()
                                  .text("what", finding.what)
                                  .text("status", finding.status)
                                  .text("detail", finding.detail)
                                  .text("fix", finding.fix)
                                  .str();
                          }) +
           '\n';
}

} // namespace

cli::Command doctor_command() {
    struct Flags {
        cli::EngineFlags engine;
        std::string format = "table";
    };
    auto flags = std::make_shared<Flags>();
    cli::Command command("doctor",
                         "Devices, libraries and a self-test per device, with the fix for each "
                         "failure. Exit code 4 when one failed.",
                         "engine-run doctor\nengine-run doctor --format json");
    flags->engine.add_model(command);
    flags->engine.add_device(command);
    command.choice("format", "what is printed (default: table)", flags->format, {"table", "json"});
    flags->engine.add_verbosity(command);
    command.run([flags] {
        cli::Console console(flags->engine.verbosity());
        require_known_device(flags->engine.device);
        const std::vector<Finding> findings = examine(flags->engine, console);
        std::cout << (flags->format == "json" ? findings_json : findings_table)(findings);
        const bool sound =
            std::none_of(findings.begin(), findings.end(),
                         [](const Finding& finding) { return finding.status == "FAILED"; });
        return static_cast<int>(sound ? cli::kDone : cli::kDevice);
    });
    return command;
}

} // namespace yeoul::run

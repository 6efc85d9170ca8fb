// engine-serve: photos to vectors, tags and near-duplicates over HTTP.
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <optional>
#include <sys/resource.h>

#include <yeoul/engine.h>

#include "apps/cli/engine_flags.h"
#include "apps/cli/exit_code.h"
#include "apps/cli/label_flags.h"
#include "apps/cli/openmp_waits.h"
#include "apps/cli/stop_signals.h"
#include "apps/cli/table.h"
#include "apps/cli/version.h"
#include "apps/serve/http/freed_memory.h"
#include "apps/serve/http/server.h"
#include "apps/serve/serve_log.h"
#include "apps/serve/service/service.h"

namespace yeoul::serve {
namespace {

struct ServeFlags {
    cli::EngineFlags engine;
    ServerOptions server;
    std::string name, api_key_file, log_format = "text";
    int64_t max_body_mib = 64, max_queue_mib = 512, slow_request_ms = 1000;
    int64_t latency_target_ms = 0, max_wait_ms = 10'000;
    bool drop_late = false, text = false;
    cli::LabelFlags labels;
};

/// A supervisor should start this program anew within a second of the loss.
constexpr std::chrono::milliseconds kLostDeviceGrace{100};

/// What ends the program: a signal or a lost device, whichever comes first.
class Ending {
public:
    enum class Why { signal, device_lost };
    void come(Why why) {
        {
            const std::lock_guard lock(mutex_);
            if (!why_)
                why_ = why;
        }
        came_.notify_all();
    }
    Why wait() {
        std::unique_lock lock(mutex_);
        came_.wait(lock, [this] { return why_.has_value(); });
        return *why_;
    }
    bool came() {
        const std::lock_guard lock(mutex_);
        return why_.has_value();
    }

private:
    std::mutex mutex_;
    std::condition_variable came_;
    std::optional<Why> why_;
};

/// Raises the soft limit of descriptors, usually 1,024, as far as the hard one allows: a connection
/// takes one. Returns the connections that there are descriptors for, at most `connections`.
int raise_descriptor_limit(int connections) {
    constexpr rlim_t kOthers = 64; // of the model, the logs and the device
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return connections;
    const rlim_t wanted = static_cast<rlim_t>(connections) + kOthers;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = std::min(wanted, limit.rlim_max);
        ::setrlimit(RLIMIT_NOFILE, &limit);
        ::getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= wanted)
        return connections;
    return static_cast<int>(std::max<rlim_t>(limit.rlim_cur, kOthers + 1) - kOthers);
}

std::string served_name(const ServeFlags& flags, const std::filesystem::path& model) {
    if (!flags.name.empty())
        return flags.name;
    const std::filesystem::path path = std::filesystem::absolute(model).lexically_normal();
    return (path.has_filename() ? path : path.parent_path()).filename().string();
}

EngineOptions engine_options_of(const ServeFlags& flags, ServeLog& log) {
    EngineOptions options = flags.engine.options(log.console());
    options.latency_target_ms = static_cast<double>(flags.latency_target_ms);
    options.drop_late = flags.drop_late;
    options.max_queue_bytes = static_cast<size_t>(flags.max_queue_mib) << 20;
    options.max_wait_ms = static_cast<double>(flags.max_wait_ms);
    options.text = flags.text || flags.labels.given();
    options.log = [&log](LogLevel level, std::string_view text) { log.log(level, text); };
    return options;
}

ServiceOptions service_options_of(const ServeFlags& flags, const EngineOptions& engine_options,
                                  Ending& ending) {
    ServiceOptions options;
    options.model_name = served_name(flags, engine_options.model);
    options.slow_request = std::chrono::milliseconds(flags.slow_request_ms);
    options.log = engine_options.log;
    options.on_device_lost = [&ending] { ending.come(Ending::Why::device_lost); };
    if (!flags.api_key_file.empty())
        options.api_keys = read_api_keys(flags.api_key_file);
    return options;
}

ServerOptions server_options_of(const ServeFlags& flags, ServeLog& log) {
    ServerOptions options = flags.server;
    options.max_connections = raise_descriptor_limit(options.max_connections);
    if (options.max_connections < flags.server.max_connections)
        log.log(LogLevel::warning, "the system allows " + std::to_string(options.max_connections) +
                                       " connections; raise ulimit -n for more");
    return options;
}

int serve(const ServeFlags& flags) {
    keep_freed_memory();
    ServeLog log(flags.engine.verbosity(), flags.log_format == "json");
    Ending ending;
    const cli::StopSignals signals([&] { ending.come(Ending::Why::signal); });
    const EngineOptions engine_options = engine_options_of(flags, log);
    std::optional<Labels> labels;
    if (flags.labels.given())
        labels = flags.labels.read();

    const ServiceOptions options = service_options_of(flags, engine_options, ending);
    Service service(options);
    // It listens while the model is loaded: a health check is answered, photos are put off.
    HttpServer server(server_options_of(flags, log), service);
    log.info("listening on " + server.address() + "; loading the model");

    // Declared after the server: its last answers go through the server.
    std::optional<OpenedEngine> engine;
    engine.emplace(engine_options);
    service.open(*engine, labels);
    log.info("model " + options.model_name + ": " + cli::describe_model(engine->info()));
    log.info("device " + cli::describe_device(engine->device()));
    if (labels)
        log.info("labels: " + std::to_string(labels->names.size()) + ", in '" +
                 labels->templates.front() + "'");
    log.info("ready: curl --data-binary @photo.jpg " + server.address() + "/v1/embed");
    std::cout << server.address() << std::endl;

    const Ending::Why why = ending.wait();
    service.drain();
    log.info(why == Ending::Why::signal ? "draining: what was accepted is answered"
                                        : "ending: the device is lost");
    // A lost device has answered everybody; only what is on the wire is worth waiting for.
    if (why == Ending::Why::device_lost)
        server.drain(kLostDeviceGrace);
    else
        server.drain();
    service.close();
    log.info("stopped");
    return why == Ending::Why::signal ? cli::kDone : cli::kDevice;
}

constexpr const char* kExamples =
    R"(engine-serve --model clip-vit-base-patch32
curl --data-binary @photo.jpg http://127.0.0.1:8000/v1/embed
curl -F photo=@a.jpg -F photo=@b.jpg http://127.0.0.1:8000/v1/embed
engine-serve --model clip-vit-base-patch32 --labels "cat,dog,red car"    and /v1/tag
engine-serve --host 0.0.0.0 --api-key-file keys.txt --log-format json)";

cli::Command serve_command() {
    auto flags = std::make_shared<ServeFlags>();
    cli::Command command(
        "", "Yeoul's photo service: photos to vectors, tags and near-duplicates over HTTP.",
        kExamples);
    flags->engine.add_model(command);
    flags->labels.add(command);
    command
        .toggle("text", "load the model's text side, so that PUT /v1/labels can set labels",
                flags->text)
        .text("name", "NAME", "what clients call the model (default: its folder's name)",
              flags->name)
        .text("host", "ADDRESS", "listen here (default: 127.0.0.1, this machine only)",
              flags->server.host)
        .number("port", "N", "listen here; 0 takes a free port (default: 8000)", flags->server.port,
                0, 65535)
        .number("latency-target-ms", "N",
                "photos should be done in so long; it steers batching and drops nothing "
                "(default: the larger of 50 and four times one photo's time)",
                flags->latency_target_ms, 1, 3'600'000)
        .toggle("drop-late", "the latency target is a deadline too", flags->drop_late)
        .number("max-wait-ms", "N",
                "refuse photos that would wait longer; 0 lets them wait (default: 10000)",
                flags->max_wait_ms, 0, 3'600'000)
        .number("max-body-mib", "N", "refuse larger bodies (default: 64)", flags->max_body_mib, 1,
                4096)
        .number("max-queue-mib", "N",
                "refuse photos while those that wait have so many bytes (default: 512)",
                flags->max_queue_mib, 1, 1 << 20)
        .number("max-connections", "N", "most open connections (default: 10000)",
                flags->server.max_connections, 1, 1'000'000)
        .number("io-threads", "N", "threads that read and write sockets (default: 2)",
                flags->server.threads, 1, 64)
        .text("api-key-file", "FILE", "keys, one a line; without it everybody may ask",
              flags->api_key_file)
        .number("slow-request-ms", "N", "tell about requests that took longer (default: 1000)",
                flags->slow_request_ms, 0, INT32_MAX)
        .choice("log-format", "text, or json: an object a line (default: text)", flags->log_format,
                {"text", "json"});
    flags->engine.add_device(command);
    flags->engine.add_photos(command);
    flags->engine.add_verbosity(command);
    command.run([flags] {
        flags->server.max_body_bytes = static_cast<uint64_t>(flags->max_body_mib) << 20;
        flags->server.max_buffered_bytes = static_cast<uint64_t>(flags->max_queue_mib) << 20;
        return serve(*flags);
    });
    return command;
}

} // namespace
} // namespace yeoul::serve

int main(int argc, char** argv) {
    using namespace yeoul;
    cli::keep_openmp_waits_short(argv);
    return cli::run_program({.name = "engine-serve",
                             .summary = "",
                             .version = cli::version_text("engine-serve"),
                             .commands = {serve::serve_command()}},
                            argc, argv);
}

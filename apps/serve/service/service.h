// The photo service: routes, keys and states over an engine.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/serve/service/context.h"

namespace yeoul::serve {

class Service : public Application {
public:
    explicit Service(ServiceOptions options);

    /// Sets the labels, and takes photos once the canary, a small built-in photo, has come back as
    /// a vector. `engine` outlives the service or is closed after `close`. Throws the `Error` of
    /// the labels or the canary.
    void open(PhotoEngine& engine, const std::optional<Labels>& labels = {});
    /// Refuses what comes from here on.
    void drain();
    /// After the last request was answered: returns when nothing uses the engine any more.
    void close();
    ServiceState state() const { return context_.state; }

    void watch_transport(std::function<ServerCounts()> counts) override;
    std::optional<HttpReply> refuse(const Head& head) override;
    void answer(HttpRequest request, Responder respond) override;
    void refused_by_transport(int status, const Head* head) override;

private:
    struct Match;
    Match match(const Head& head) const;
    void check_key(const Head& head) const;
    void check_state() const;
    void watch_gpu();
    void handle(const Route& route, Call call);
    const std::vector<Route> routes_;
    const std::vector<std::vector<std::string>> patterns_; // segments of each route
    Context context_;
};

/// In time that depends on the lengths only.
bool equal_in_constant_time(std::string_view a, std::string_view b);

/// One key a line; empty lines and lines that begin with # are none. Throws `Error`, code `io`,
/// when the file cannot be read, and `invalid_argument` when it holds no key.
std::vector<std::string> read_api_keys(const std::string& path);

} // namespace yeoul::serve

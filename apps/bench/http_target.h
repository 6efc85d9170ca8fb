// Load on an engine-serve that runs: photos posted to /v1/embed over connections that stay open.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "apps/bench/load.h"

namespace yeoul::bench {

struct HttpAddress {
    std::string host, port = "80", path = "/v1/embed";
    /// "http://127.0.0.1:8000", with a path or without. Throws `Error`, code `invalid_argument`.
    static HttpAddress parse(const std::string& url);
};

class HttpTarget final : public LoadTarget {
public:
    /// Throws `Error`, code `io`, when nobody answers there. `api_key`: none when empty.
    HttpTarget(const HttpAddress& address, int connections, const std::string& api_key);
    ~HttpTarget() override { stop(); }

    /// Takes encoded photos. Waits in a queue while every connection is busy.
    void submit(Photo photo, std::function<void(const Result&)> done) override;

private:
    struct Job {
        Photo photo;
        std::function<void(const Result&)> done;
    };
    void work();
    void stop() noexcept;

    HttpAddress address_;
    std::string head_; // of every request, up to the length of its body
    std::mutex mutex_; // guards what follows
    std::deque<Job> jobs_;
    bool closing_ = false;
    std::condition_variable changed_;
    std::vector<std::thread> threads_;
};

} // namespace yeoul::bench

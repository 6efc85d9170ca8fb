// What ran when, on host threads and on streams, as a file that ui.perfetto.dev and
// chrome://tracing show: whether copies overlap compute, and what waits for what.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

namespace yeoul {

/// Safe to use from several threads.
class Trace {
public:
    using Clock = std::chrono::steady_clock;
    /// More are counted and left out: some 10 minutes of a busy GPU.
    static constexpr size_t kMostSpans = 100'000;

    struct Span {
        std::string row;             // "decoding 1", "stream 2"
        std::string name;            // what ran
        double start_us = 0, us = 0; // from the trace's start
        int64_t size = 0;            // bytes copied, or photos; 0: none
    };

    double now_us() const {
        return std::chrono::duration<double, std::micro>(Clock::now() - start_).count();
    }
    void add(Span span);
    std::vector<Span> spans() const;
    /// Trace Event Format, JSON object form: complete events ("ph": "X"), a thread per row.
    /// Throws `Error`, code `io`.
    void write(const std::filesystem::path& path) const;

private:
    const Clock::time_point start_ = Clock::now();
    mutable std::mutex mutex_; // guards what follows
    std::vector<Span> spans_;
    uint64_t left_out_ = 0;
};

} // namespace yeoul

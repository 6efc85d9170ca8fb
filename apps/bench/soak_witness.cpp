#include "apps/bench/soak_witness.h"

#include <algorithm>
#include <fstream>
#include <thread>

#include <unistd.h>

#include <yeoul/error.h>

namespace yeoul::bench {
namespace {

/// What the process may grow by after a quarter of the time: heaps of the decoders settle late.
constexpr double kRssShare = 0.05, kRssMib = 16;
constexpr double kMebibyte = 1 << 20;

double rss_mib() {
    std::ifstream file("/proc/self/statm");
    size_t all = 0, resident = 0;
    file >> all >> resident;
    return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / kMebibyte;
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words)
        text += (text.empty() ? "" : ", ") + word;
    return text;
}

} // namespace

void SoakWitness::count_driver_calls(const std::vector<std::string>& libraries) {
    std::vector<std::string> reasons;
    for (const std::string& library : libraries)
        try {
            calls_ = std::make_unique<DriverWatch>(library);
            return;
        } catch (const Error& error) {
            reasons.emplace_back(error.what());
        }
    throw Error(ErrorCode::device, joined(reasons));
}

void SoakWitness::watch_free_bytes(std::function<size_t()> free_bytes) {
    free_bytes_ = std::move(free_bytes);
}

void SoakWitness::engine_is_ready() {
    if (free_bytes_)
        ready_free_ = least_free_ = free_bytes_();
    if (calls_)
        opening_ = calls_->take();
}

void SoakWitness::look_at_free_bytes() {
    if (!free_bytes_ || !free_bytes_failed_.empty())
        return;
    try {
        least_free_ = std::min(least_free_, free_bytes_());
    } catch (const Error& error) { // such as a lost GPU, which the engine's callers hear of too
        free_bytes_failed_ = error.what();
    }
}

void SoakWitness::watch(Clock::time_point start, Clock::time_point end) {
    while (Clock::now() < end) {
        const auto quarter = (Clock::now() - start) * 4 / (end - start);
        if (quarter == 1 || (quarter > 1 && early_mib_ == 0)) // a busy machine may skip a quarter
            early_mib_ = std::max(early_mib_, rss_mib());
        if (quarter == 3)
            late_mib_ = std::max(late_mib_, rss_mib());
        look_at_free_bytes();
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
}

void SoakWitness::engine_is_idle() {
    look_at_free_bytes();
    if (calls_)
        serving_ = calls_->take();
}

std::set<std::string> SoakWitness::broken_promises() const {
    std::set<std::string> broken;
    if (late_mib_ > early_mib_ * (1 + kRssShare) + kRssMib)
        broken.insert("the resident size is flat");
    if (!free_bytes_failed_.empty())
        broken.insert("the driver says what is free: " + free_bytes_failed_);
    if (least_free_ < ready_free_)
        broken.insert("free memory of the GPU is flat (of all processes)");
    if (!calls_)
        return broken;
    if (opening_.of(DriverCall::allocation) == 0)
        broken.insert("CUPTI sees how the engine asks for memory at its start");
    if (!serving_.functions.empty())
        broken.insert("nothing asks the driver for memory or waits for the whole GPU after "
                      "start-up: " +
                      joined(serving_.functions));
    return broken;
}

std::vector<std::pair<std::string, double>> SoakWitness::values() const {
    std::vector<std::pair<std::string, double>> values = {
        {"RSS MiB, second quarter", early_mib_},
        {"RSS MiB, last quarter", late_mib_},
    };
    if (free_bytes_) {
        values.emplace_back("GPU free MiB, ready", static_cast<double>(ready_free_) / kMebibyte);
        values.emplace_back("GPU free MiB, least", static_cast<double>(least_free_) / kMebibyte);
    }
    if (!calls_)
        return values;
    const auto add = [&](const char* name, const DriverWatch::Seen& seen, DriverCall kind) {
        values.emplace_back(name, static_cast<double>(seen.of(kind)));
    };
    add("CUPTI: allocations to open", opening_, DriverCall::allocation);
    add("CUPTI: allocations", serving_, DriverCall::allocation);
    add("CUPTI: releases", serving_, DriverCall::release);
    add("CUPTI: device synchronizations", serving_, DriverCall::device_synchronization);
    add("CUPTI: other calls", serving_, DriverCall::other);
    return values;
}

} // namespace yeoul::bench

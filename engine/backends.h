// The backends of this build, and what each can do on this machine.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/ops.h"

namespace yeoul {

/// "auto", "cpu", "cuda" or "cuda:N". Throws `Error`: `device` when this build or machine lacks it,
/// `invalid_argument` for anything else. "auto" takes CUDA device 0 or else the CPU, and tells
/// `warn` when a GPU, driver or library is there and cannot serve.
std::unique_ptr<Backend> make_backend(const std::string& device, int threads,
                                      const std::function<void(const std::string&)>& warn = {});

struct BackendReport {
    std::string kind;   // "cpu", "cuda"
    std::string device; // as `make_backend` takes it: "cpu", "cuda", "cuda:1"
    bool usable = false;
    DeviceProperties properties;         // when usable
    std::vector<std::string> precisions; // that it takes: "fp32"
    std::vector<std::string> libraries;  // "oneDNN 2.6.3"
    std::string targets;                 // what GPUs it is built for: "75-real;75-virtual"
    std::string problem, fix;            // when not usable
    bool surprising = false;             // as `Problem` has it
};
/// For `doctor`. Of GPUs the one that `device` names, else the first. Never throws for a backend
/// that is missing or broken: it says so.
std::vector<BackendReport> probe_backends(const std::string& device = "auto");

} // namespace yeoul

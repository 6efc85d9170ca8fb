// Opens libyeoul_cuda.so and says, in one sentence and a fix, why there is no CUDA where there is
// none.
#pragma once

#include <memory>
#include <string>

#include "kernels/cuda_module.h"

namespace yeoul {

struct Problem {
    std::string what, fix; // both empty: none
    /// Whether somebody who has a GPU would want to hear of it unasked: a GPU, driver or library
    /// that is there and cannot serve, as opposed to none at all.
    bool surprising = false;
    explicit operator bool() const { return !what.empty(); }
};

class CudaModule {
public:
    /// Takes the file that YEOUL_CUDA_LIBRARY names ("none" for none at all), or looks beside this
    /// library or program, in ../lib of it, then where the loader looks. Never throws: `problem()`
    /// says what is missing. It stays open for the life of the process.
    CudaModule();
    const Problem& problem() const { return problem_; }
    const std::string& path() const { return path_; }
    /// Without a problem:
    CudaReport report() const;
    std::unique_ptr<Backend> make(const CudaOptions& options) const;

private:
    void* handle_ = nullptr;
    std::string path_;
    Problem problem_;
};

/// Why device `index` of this report cannot be used.
Problem cuda_problem(const CudaReport& report, int index);

/// What to do about an error that the shared object threw while it opened a device.
std::string cuda_fix(const Error& error);

/// "13.0" of 13000.
std::string cuda_version(int version);

} // namespace yeoul

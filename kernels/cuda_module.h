// The door between the engine and libyeoul_cuda.so, which it opens at run time.
//
// Both sides must be of one build of these headers: YEOUL_INTERFACE, a hash of them that the build
// computes, is compared before anything else is called.
#pragma once

#include <string>
#include <vector>

#include "kernels/ops.h"

namespace yeoul {

struct CudaOptions {
    int device = 0;
    /// Compute capability to choose kernels and GEMM tables for, 10 * major + minor; 0 is the
    /// device's own. 75 makes a newer GPU take the path of a T4.
    int sm = 0;
    /// Text of the GEMM table; empty has every choice predicted.
    std::string gemm_table;
};

struct CudaDevice {
    std::string name;
    int sm = 0; // compute capability, 10 * major + minor
    size_t total_bytes = 0;
};

/// What the shared object finds on this machine. Versions are 1000 * major + 10 * minor.
struct CudaReport {
    int runtime = 0; // inside the shared object
    int driver = 0;  // newest CUDA that the driver serves; 0: no driver
    std::vector<CudaDevice> devices;
    std::vector<std::string> libraries; // "cuBLASLt 13.1.0"
    std::string targets;                // "75-real 90-real 75-virtual"
};

/// The functions of the shared object, by these names.
using CudaInterface = const char*();                      // yeoul_cuda_interface
using CudaMakeReport = void(CudaReport& report);          // yeoul_cuda_report
using CudaMakeBackend = Backend*(const CudaOptions& opt); // yeoul_cuda_backend

} // namespace yeoul

// What the making of an op may know of its device.
#pragma once

#include "kernels/device.h"

namespace yeoul::cuda {

class GemmLibrary;
class GemmTable;

struct Context {
    Device& device;
    int sm = 75;                      // compute capability, 10 * major + minor
    int sm_count = 40;                // streaming multiprocessors
    size_t shared_bytes = 48 << 10;   // dynamic shared memory that one block may opt in to
    StreamRef stream;                 // for uploads; the maker synchronizes it
    GemmLibrary* library = nullptr;   // cuBLASLt, or null where there is none
    const GemmTable* table = nullptr; // which GEMM serves which shape
};

} // namespace yeoul::cuda

#include "kernels/checks.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/ops.h"

namespace yeoul::cuda {

std::unique_ptr<Patches> make_patches(const Context&, const PatchesDesc&) {
    throw Error(ErrorCode::internal, "patches is not written yet");
}

} // namespace yeoul::cuda

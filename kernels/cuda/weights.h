// Weights on their way from a file's views into device memory.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/cuda/context.h"

namespace yeoul::cuda {

/// Device memory that an op owns.
class DeviceWeights {
public:
    DeviceWeights() = default;
    DeviceWeights(Device& device, size_t bytes)
        : memory_(make_device_memory(device, bytes)), bytes_(bytes) {}
    void* data() const { return memory_.get(); }
    template <class T>
    const T* as() const {
        return static_cast<const T*>(memory_.get());
    }
    size_t bytes() const { return bytes_; }

private:
    DeviceMemory memory_{nullptr, {nullptr}};
    size_t bytes_ = 0;
};

/// What `fill` writes into pinned memory of `bytes`. In dry memory `fill` is not called.
DeviceWeights upload(const Context& context, size_t bytes,
                     const std::function<void(void* staging)>& fill);

/// The parts stacked on the first axis as one (rows, columns) matrix of fp16, each row padded with
/// zeros to `padded_columns`. Throws `Error` with code `model` naming `what` and the value where
/// one is finite but beyond fp16.
DeviceWeights upload_fp16(const Context& context, const char* what, const std::vector<View>& parts,
                          int columns, int padded_columns);

/// The parts one behind the other, as fp32, and zeros up to `padded_count` values where that is
/// more.
DeviceWeights upload_fp32(const Context& context, const std::vector<View>& parts,
                          size_t padded_count = 0);

/// Rounds to nearest, ties to even; beyond the range becomes infinity.
uint16_t to_fp16(float value);

} // namespace yeoul::cuda

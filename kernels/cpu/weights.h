// Weights on their way from a file's views into memory that an op owns.
#pragma once

#include <vector>

#include "kernels/cpu/context.h"

namespace yeoul::cpu {

class Weights {
public:
    Weights() = default;
    Weights(Device& memory, size_t bytes)
        : memory_(make_device_memory(memory, bytes)), bytes_(bytes) {}
    void* data() const { return memory_.get(); }
    float* floats() const { return static_cast<float*>(memory_.get()); }
    size_t bytes() const { return bytes_; }

private:
    DeviceMemory memory_{nullptr, {nullptr}};
    size_t bytes_ = 0;
};

/// The parts one behind the other, as fp32. In dry memory nothing is read or written.
Weights stack_fp32(const Context& context, const std::vector<View>& parts);

/// The same into `y`, which holds `count_values(parts)` floats.
void stack_fp32(const std::vector<View>& parts, float* y);
size_t count_values(const std::vector<View>& parts);

} // namespace yeoul::cpu

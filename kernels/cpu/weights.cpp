#include "kernels/cpu/weights.h"

#include "kernels/convert.h"

namespace yeoul::cpu {

size_t count_values(const std::vector<View>& parts) {
    size_t count = 0;
    for (const View& part : parts)
        count += part.elements();
    return count;
}

void stack_fp32(const std::vector<View>& parts, float* y) {
    for (const View& part : parts) {
        to_fp32(part.data, part.dtype, part.elements(), y);
        y += part.elements();
    }
}

Weights stack_fp32(const Context& context, const std::vector<View>& parts) {
    Weights stacked(context.memory, count_values(parts) * sizeof(float));
    if (!context.memory.properties().dry)
        stack_fp32(parts, stacked.floats());
    return stacked;
}

} // namespace yeoul::cpu

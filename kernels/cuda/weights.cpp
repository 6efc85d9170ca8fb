#include "kernels/cuda/weights.h"

#include <cmath>
#include <cstring>

#include <yeoul/error.h>

#include "kernels/convert.h"

namespace yeoul::cuda {

uint16_t to_fp16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000U);
    const uint32_t magnitude = bits & 0x7fffffffU;
    if (magnitude > 0x7f800000U)
        return static_cast<uint16_t>(sign | 0x7e00U); // NaN
    if (magnitude >= 0x477ff000U)
        return static_cast<uint16_t>(sign | 0x7c00U); // rounds to 65536 or above
    if (magnitude < 0x38800000U) {                    // below 2^-14: a multiple of 2^-24
        const float scaled = std::nearbyint(std::fabs(value) * 0x1p24F);
        return static_cast<uint16_t>(sign | static_cast<uint16_t>(scaled));
    }
    const uint32_t rounded = magnitude + 0xfffU + ((magnitude >> 13) & 1U);
    return static_cast<uint16_t>(sign | ((rounded - 0x38000000U) >> 13));
}

DeviceWeights upload(const Context& context, const void* x, size_t bytes) {
    DeviceWeights weights(context.device, bytes);
    if (bytes == 0)
        return weights;
    const PinnedMemory staging = make_pinned_memory(context.device, bytes);
    std::memcpy(staging.get(), x, bytes);
    context.device.copy(weights.data(), staging.get(), bytes, CopyKind::host_to_device,
                        context.stream);
    context.device.synchronize(context.stream);
    return weights;
}

DeviceWeights upload_fp16(const Context& context, const char* what, const std::vector<View>& parts,
                          int columns, int padded_columns) {
    size_t elements = 0;
    for (const View& part : parts)
        elements += part.elements();
    const size_t rows = elements / columns;
    std::vector<uint16_t> packed(rows * padded_columns, 0);
    std::vector<float> row(columns);
    uint16_t* y = packed.data();
    for (const View& part : parts) {
        const char* x = static_cast<const char*>(part.data);
        for (size_t left = part.elements() / columns; left > 0; --left, y += padded_columns) {
            const size_t row_bytes = columns * size_bytes(part.dtype);
            if (part.dtype == DType::f16) {
                std::memcpy(y, x, row_bytes);
            } else {
                to_fp32(x, part.dtype, columns, row.data());
                for (int i = 0; i < columns; ++i) {
                    y[i] = to_fp16(row[i]);
                    if (std::isfinite(row[i]) && (y[i] & 0x7fffU) == 0x7c00U)
                        throw Error(ErrorCode::model, std::string(what) + " holds " +
                                                          std::to_string(row[i]) +
                                                          ", which fp16 cannot: it ends at 65504");
                }
            }
            x += row_bytes;
        }
    }
    return upload(context, packed.data(), packed.size() * sizeof(uint16_t));
}

DeviceWeights upload_fp32(const Context& context, const std::vector<View>& parts) {
    size_t count = 0;
    for (const View& part : parts)
        count += part.elements();
    std::vector<float> values(count);
    float* y = values.data();
    for (const View& part : parts) {
        to_fp32(part.data, part.dtype, part.elements(), y);
        y += part.elements();
    }
    return upload(context, values.data(), count * sizeof(float));
}

} // namespace yeoul::cuda

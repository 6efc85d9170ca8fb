#include "kernels/cuda/weights.h"

#include <algorithm>
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

DeviceWeights upload(const Context& context, size_t bytes,
                     const std::function<void(void* staging)>& fill) {
    DeviceWeights weights(context.device, bytes);
    if (bytes == 0)
        return weights;
    const PinnedMemory staging = make_pinned_memory(context.device, bytes);
    if (context.device.properties().dry)
        return weights;
    fill(staging.get());
    context.device.copy(weights.data(), staging.get(), bytes, CopyKind::host_to_device,
                        context.stream);
    context.device.synchronize(context.stream);
    return weights;
}

namespace {

size_t count_values(const std::vector<View>& parts) {
    size_t count = 0;
    for (const View& part : parts)
        count += part.elements();
    return count;
}

// x: `columns` values of `dtype`; row: room for as many.
void convert_row(const char* what, const char* x, DType dtype, std::vector<float>& row,
                 uint16_t* y) {
    if (dtype == DType::f16) {
        std::memcpy(y, x, row.size() * sizeof(uint16_t));
        return;
    }
    to_fp32(x, dtype, row.size(), row.data());
    for (size_t i = 0; i < row.size(); ++i) {
        y[i] = to_fp16(row[i]);
        if (std::isfinite(row[i]) && (y[i] & 0x7fffU) == 0x7c00U)
            throw Error(ErrorCode::model, std::string(what) + " holds " + std::to_string(row[i]) +
                                              ", which fp16 cannot: it ends at 65504");
    }
}

} // namespace

DeviceWeights upload_fp16(const Context& context, const char* what, const std::vector<View>& parts,
                          int columns, int padded_columns) {
    const size_t rows = count_values(parts) / columns;
    return upload(context, rows * padded_columns * sizeof(uint16_t), [&](void* staging) {
        std::vector<float> row(columns);
        auto* y = static_cast<uint16_t*>(staging);
        for (const View& part : parts) {
            const char* x = static_cast<const char*>(part.data);
            for (size_t left = part.elements() / columns; left > 0; --left) {
                convert_row(what, x, part.dtype, row, y);
                std::fill(y + columns, y + padded_columns, uint16_t{0});
                x += columns * size_bytes(part.dtype);
                y += padded_columns;
            }
        }
    });
}

DeviceWeights upload_fp32(const Context& context, const std::vector<View>& parts,
                          size_t padded_count) {
    const size_t count = std::max(count_values(parts), padded_count);
    return upload(context, count * sizeof(float), [&](void* staging) {
        auto* y = static_cast<float*>(staging);
        float* const end = y + count;
        for (const View& part : parts) {
            to_fp32(part.data, part.dtype, part.elements(), y);
            y += part.elements();
        }
        std::fill(y, end, 0.0F);
    });
}

} // namespace yeoul::cuda

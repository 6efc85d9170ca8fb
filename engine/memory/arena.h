// Activations of one forward pass: a bump pointer over memory that was sized beforehand.
#pragma once

#include <cassert>
#include <cstddef>
#include <initializer_list>

#include "kernels/ops.h"

namespace yeoul {

/// Hands out consecutive pieces. Made without memory it only counts, so the code that lays out the
/// buffers also says how large they are.
class Arena {
public:
    static constexpr size_t kAlignment = 256;

    Arena() = default;
    Arena(void* data, size_t bytes) : data_(static_cast<std::byte*>(data)), bytes_(bytes) {}

    View view(DType dtype, std::initializer_list<int> shape) {
        View view(nullptr, dtype, shape);
        view.data = take(view.bytes());
        return view;
    }
    Scratch scratch(size_t bytes) { return {take(bytes), bytes}; }

    size_t used_bytes() const { return used_; }

private:
    void* take(size_t bytes) {
        std::byte* piece = data_ ? data_ + used_ : nullptr;
        used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
        assert(!data_ || used_ <= bytes_);
        return piece;
    }

    std::byte* data_ = nullptr;
    [[maybe_unused]] size_t bytes_ = 0; // read by an assert
    size_t used_ = 0;
};

} // namespace yeoul

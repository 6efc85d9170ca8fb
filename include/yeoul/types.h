// Element types, tensor views and stream references: the words that every layer shares.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace yeoul {

enum class DType : uint8_t { f32, f16, bf16, i32, u8 };

constexpr size_t size_bytes(DType dtype) {
    switch (dtype) {
    case DType::f32:
    case DType::i32:
        return 4;
    case DType::f16:
    case DType::bf16:
        return 2;
    case DType::u8:
        return 1;
    }
    return 0;
}

constexpr std::string_view name(DType dtype) {
    switch (dtype) {
    case DType::f32:
        return "fp32";
    case DType::f16:
        return "fp16";
    case DType::bf16:
        return "bf16";
    case DType::i32:
        return "int32";
    case DType::u8:
        return "uint8";
    }
    return "?";
}

/// A dense row-major tensor of at most four dimensions that somebody else owns.
/// It never owns and never converts; `data` points to device or host memory as its maker says.
struct View {
    static constexpr int kMaxRank = 4;

    void* data = nullptr;
    DType dtype = DType::f32;
    int rank = 0;
    std::array<int, kMaxRank> shape{};

    View() = default;
    View(void* data, DType dtype, std::initializer_list<int> extents)
        : data(data), dtype(dtype), rank(static_cast<int>(extents.size())) {
        assert(extents.size() <= kMaxRank);
        int axis = 0;
        for (int extent : extents)
            shape[axis++] = extent;
    }

    explicit operator bool() const { return data != nullptr; }

    size_t elements() const {
        size_t product = 1;
        for (int axis = 0; axis < rank; ++axis)
            product *= static_cast<size_t>(shape[axis]);
        return product;
    }
    size_t bytes() const { return elements() * size_bytes(dtype); }

    /// Product of all extents but the last: how many rows a row-wise op sees.
    int rows() const { return rank == 0 ? 0 : static_cast<int>(elements() / shape[rank - 1]); }
    int last() const { return rank == 0 ? 0 : shape[rank - 1]; }

    /// The first `count` entries of the leading dimension.
    View first(int count) const {
        assert(rank > 0 && count >= 0 && count <= shape[0]);
        View view = *this;
        view.shape[0] = count;
        return view;
    }

    template <class T>
    T* as() const {
        return static_cast<T*>(data);
    }

    /// "(8, 50, 768) fp32", for error messages.
    std::string to_string() const {
        std::string text = "(";
        for (int axis = 0; axis < rank; ++axis)
            text += (axis ? ", " : "") + std::to_string(shape[axis]);
        return text + ") " + std::string(name(dtype));
    }
};

/// A stream that somebody else owns. There is no default stream: it cannot be made from 0 or
/// nullptr, it is the last argument of every asynchronous call, and it has no default.
class StreamRef {
public:
    explicit StreamRef(void* handle) : handle_(handle) { assert(handle != nullptr); }
    StreamRef(std::nullptr_t) = delete;
    StreamRef(int) = delete;
    void* handle() const { return handle_; }
    friend bool operator==(StreamRef a, StreamRef b) { return a.handle_ == b.handle_; }

private:
    void* handle_;
};

} // namespace yeoul

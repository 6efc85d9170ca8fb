// The wall to oneDNN: its failures as `Error`, its types, and calls with everything bound.
#pragma once

#include <dnnl.hpp>

#include <string>
#include <utility>
#include <vector>

#include <yeoul/error.h>
#include <yeoul/types.h>

#include "kernels/cpu/stream.h"
#include "kernels/ops.h"

namespace yeoul::cpu {

/// What planning needs: the engine, and the threads that primitives are made for.
struct Onednn {
    dnnl::engine engine;
    int threads;
};

/// Throws `OutOfMemory` or `Error`, naming the expression, oneDNN's status and the place.
[[noreturn]] void throw_onednn(const char* expression, const dnnl::error& error, const char* file,
                               int line);

template <class F>
auto onednn_checked(F call, const char* expression, const char* file, int line) {
    try {
        return call();
    } catch (const dnnl::error& error) {
        throw_onednn(expression, error, file, line);
    }
}

// The value of an expression that calls oneDNN's C++ interface.
#define YEOUL_ONEDNN(...)                                                                          \
    ::yeoul::cpu::onednn_checked([&] { return __VA_ARGS__; }, #__VA_ARGS__, __FILE__, __LINE__)

/// fp32, bf16, int32 or uint8. oneDNN has no fp16 on a CPU: `Error` with code `device`.
dnnl::memory::data_type onednn_type(DType dtype);

/// Dense row-major.
dnnl::memory::desc dense(const dnnl::memory::dims& extents, DType dtype);

/// Attributes with the scratchpad in our hands: oneDNN's own is shared by all threads that run a
/// primitive, and gives silently wrong numbers.
dnnl::primitive_attr user_scratchpad(const dnnl::post_ops& post_ops = {});

/// A primitive with its arguments, ready to run any number of times without making anything.
class Call {
public:
    struct Argument {
        int kind;
        dnnl::memory::desc desc;
        void* data;
    };
    /// Arguments with an empty desc are left out.
    Call(const Onednn& onednn, dnnl::primitive primitive, const std::vector<Argument>& arguments);
    void operator()(dnnl_stream* stream) const;

private:
    dnnl::primitive primitive_;
    std::vector<dnnl::memory> memories_; // own what raw_ names
    std::vector<dnnl_exec_arg_t> raw_;
};

/// Copies `x` to `y` in their layouts and types, now, on the calling thread.
void reorder_now(const Onednn& onednn, const dnnl::memory::desc& x_desc, const void* x,
                 const dnnl::memory::desc& y_desc, void* y);

/// Lays out the parts of an op's scratch.
class ScratchLayout {
public:
    /// Offset of a part of `bytes`.
    size_t add(size_t bytes) {
        const size_t offset = bytes_;
        bytes_ += (bytes + 63) / 64 * 64;
        return offset;
    }
    size_t bytes() const { return bytes_; }

private:
    size_t bytes_ = 0;
};

inline void* offset_bytes(void* data, size_t bytes) {
    return static_cast<char*>(data) + bytes;
}

} // namespace yeoul::cpu

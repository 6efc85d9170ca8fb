// Tensors in device memory between guard bands, and a run of an op in every way the engine uses it.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "kernels/ops.h"

namespace yeoul::test {

/// `values` in `dtype`, rounded to nearest even where it is narrower. i32 and u8 take whole values.
std::vector<std::byte> encode(const std::vector<float>& values, DType dtype);
std::vector<float> decode(const std::vector<std::byte>& bytes, DType dtype);

/// `count` values from `first` on.
inline std::vector<float> slice(const std::vector<float>& values, size_t first, size_t count) {
    return {values.begin() + first, values.begin() + first + count};
}

/// The bytes before and behind a payload, which AddressSanitizer takes for no memory at all while
/// this lives: so it sees an op on host memory that only reads there. Nothing in other builds, or
/// where the memory is a GPU's.
class ForbiddenBands {
public:
    ForbiddenBands() = default;
    ForbiddenBands(const Backend& backend, const void* payload, size_t bytes);
    ~ForbiddenBands();
    ForbiddenBands(ForbiddenBands&& other) noexcept { *this = std::move(other); }
    ForbiddenBands& operator=(ForbiddenBands&& other) noexcept;
    void allow() const;
    void forbid() const;

private:
    const std::byte* payload_ = nullptr; // nullptr: nothing is forbidden
    size_t bytes_ = 0;
};

/// A device tensor. Its payload starts as NaN (all bits set), its surroundings as a pattern that
/// every read checks.
class DeviceTensor {
public:
    DeviceTensor(Backend& backend, DType dtype, const std::vector<int>& extents);
    DeviceTensor(Backend& backend, DType dtype, const std::vector<int>& extents,
                 const std::vector<float>& values);

    const View& view() const { return view_; }
    void write(const std::vector<std::byte>& payload);
    void write(const std::vector<float>& values) { write(encode(values, view_.dtype)); }
    std::vector<std::byte> bytes() const;
    std::vector<float> values() const { return decode(bytes(), view_.dtype); }

private:
    Backend* backend_;
    DeviceMemory memory_;
    View view_;
    ForbiddenBands bands_; // last: it ends before the memory does
};

struct Output {
    DType dtype;
    std::vector<int> extents;
    std::vector<float> initial = {}; // empty: NaN
};

/// Calls an op on fresh outputs: twice in a row, from a captured graph that is launched twice, and
/// on two streams at once. Fails the test unless every run gives the same bytes, nothing ran while
/// it was captured, and nothing was written outside outputs and scratch. Returns the outputs. The
/// emulator under a sanitizer does each of these once.
std::vector<std::vector<float>>
run_every_way(Backend& backend, size_t scratch_bytes, const std::vector<Output>& outputs,
              const std::function<void(const std::vector<View>& y, Scratch, StreamRef)>& call);

/// A host tensor at an odd address, as files may have it.
class HostTensor {
public:
    HostTensor(DType dtype, std::vector<int> extents, const std::vector<float>& values);
    View view() const;

private:
    DType dtype_;
    std::vector<int> extents_;
    std::vector<std::byte> bytes_; // one more in front
};

View make_view(void* data, DType dtype, const std::vector<int>& extents);

/// Fails the test, naming the worst element, unless |x - reference| <= tolerance everywhere and x
/// is finite. `reference` and `tolerance` have the size of x.
void check_close(const std::vector<float>& x, const std::vector<double>& reference,
                 const std::vector<double>& tolerance);

} // namespace yeoul::test

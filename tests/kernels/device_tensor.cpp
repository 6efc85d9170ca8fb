#include "tests/kernels/device_tensor.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

#include "tests/support/sanitizers.h"

namespace yeoul::test {
namespace {

constexpr size_t kGuardBytes = 256;
constexpr std::byte kGuard{0xa5};

template <class T>
T bits_as(uint32_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

uint32_t bits_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

uint16_t to_bf16(float value) {
    const uint32_t bits = bits_of(value);
    if (std::isnan(value))
        return 0x7fc0;
    return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Through the value: |x| = mantissa * 2^(exponent - 10), the mantissa rounded to nearest even.
uint16_t to_fp16(float value) {
    const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    const double magnitude = std::abs(static_cast<double>(value));
    if (std::isnan(value))
        return 0x7e00;
    if (magnitude >= 65520)
        return sign | 0x7c00;
    if (magnitude < 0x1p-14)
        return sign | static_cast<uint16_t>(std::nearbyint(magnitude * 0x1p24));
    int exponent = 0;
    std::frexp(magnitude, &exponent);
    const auto mantissa =
        static_cast<uint32_t>(std::nearbyint(std::ldexp(magnitude, 11 - exponent)));
    return sign | static_cast<uint16_t>((static_cast<uint32_t>(exponent + 13) << 10) + mantissa);
}

float from_fp16(uint16_t half) {
    const int exponent = (half >> 10) & 31, mantissa = half & 1023;
    double magnitude =
        exponent == 0 ? mantissa * 0x1p-24 : std::ldexp(1024 + mantissa, exponent - 25);
    if (exponent == 31)
        magnitude = mantissa ? std::nan("") : INFINITY;
    return static_cast<float>(half & 0x8000 ? -magnitude : magnitude);
}

template <class T, class F>
void encode_as(const std::vector<float>& values, std::vector<std::byte>& bytes, F convert) {
    for (size_t i = 0; i < values.size(); ++i) {
        const T value = convert(values[i]);
        std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
    }
}

template <class T, class F>
void decode_as(const std::vector<std::byte>& bytes, std::vector<float>& values, F convert) {
    for (size_t i = 0; i < values.size(); ++i) {
        T value;
        std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
        values[i] = convert(value);
    }
}

} // namespace

std::vector<std::byte> encode(const std::vector<float>& values, DType dtype) {
    std::vector<std::byte> bytes(values.size() * size_bytes(dtype));
    switch (dtype) {
    case DType::f32:
        encode_as<float>(values, bytes, [](float v) { return v; });
        break;
    case DType::f16:
        encode_as<uint16_t>(values, bytes, to_fp16);
        break;
    case DType::bf16:
        encode_as<uint16_t>(values, bytes, to_bf16);
        break;
    case DType::i32:
        encode_as<int32_t>(values, bytes, [](float v) { return static_cast<int32_t>(v); });
        break;
    case DType::u8:
        encode_as<uint8_t>(values, bytes, [](float v) { return static_cast<uint8_t>(v); });
        break;
    }
    return bytes;
}

std::vector<float> decode(const std::vector<std::byte>& bytes, DType dtype) {
    std::vector<float> values(bytes.size() / size_bytes(dtype));
    const auto cast = [](auto v) { return static_cast<float>(v); };
    switch (dtype) {
    case DType::f32:
        decode_as<float>(bytes, values, cast);
        break;
    case DType::f16:
        decode_as<uint16_t>(bytes, values, from_fp16);
        break;
    case DType::bf16:
        decode_as<uint16_t>(bytes, values, [](uint16_t v) {
            return bits_as<float>(static_cast<uint32_t>(v) << 16);
        });
        break;
    case DType::i32:
        decode_as<int32_t>(bytes, values, cast);
        break;
    case DType::u8:
        decode_as<uint8_t>(bytes, values, cast);
        break;
    }
    return values;
}

View make_view(void* data, DType dtype, const std::vector<int>& extents) {
    View view(data, dtype, {});
    for (int extent : extents)
        view.shape[view.rank++] = extent;
    return view;
}

ForbiddenBands::ForbiddenBands(const Backend& backend, const void* payload, size_t bytes)
    : payload_(backend.properties().kind == "cuda" ? nullptr
                                                   : static_cast<const std::byte*>(payload)),
      bytes_(bytes) {
    forbid();
}

ForbiddenBands::~ForbiddenBands() {
    allow();
}

ForbiddenBands& ForbiddenBands::operator=(ForbiddenBands&& other) noexcept {
    std::swap(payload_, other.payload_);
    std::swap(bytes_, other.bytes_);
    return *this;
}

void ForbiddenBands::allow() const {
    if (payload_ == nullptr)
        return;
    ASAN_UNPOISON_MEMORY_REGION(payload_ - kGuardBytes, kGuardBytes);
    ASAN_UNPOISON_MEMORY_REGION(payload_ + bytes_, kGuardBytes);
}

void ForbiddenBands::forbid() const {
    if (payload_ == nullptr)
        return;
    ASAN_POISON_MEMORY_REGION(payload_ - kGuardBytes, kGuardBytes);
    ASAN_POISON_MEMORY_REGION(payload_ + bytes_, kGuardBytes);
}

DeviceTensor::DeviceTensor(Backend& backend, DType dtype, const std::vector<int>& extents)
    : backend_(&backend), view_(make_view(nullptr, dtype, extents)) {
    memory_ = make_device_memory(backend, view_.bytes() + 2 * kGuardBytes);
    view_.data = static_cast<std::byte*>(memory_.get()) + kGuardBytes;
    bands_ = ForbiddenBands(backend, view_.data, view_.bytes());
    write(std::vector<std::byte>(view_.bytes(), std::byte{0xff}));
}

DeviceTensor::DeviceTensor(Backend& backend, DType dtype, const std::vector<int>& extents,
                           const std::vector<float>& values)
    : DeviceTensor(backend, dtype, extents) {
    write(values);
}

// The guard bands are written along.
void DeviceTensor::write(const std::vector<std::byte>& payload) {
    REQUIRE(payload.size() == view_.bytes());
    const size_t all = payload.size() + 2 * kGuardBytes;
    const PinnedMemory staging = make_pinned_memory(*backend_, all);
    auto* data = static_cast<std::byte*>(staging.get());
    std::fill_n(data, all, kGuard);
    std::copy(payload.begin(), payload.end(), data + kGuardBytes);
    const Stream stream(*backend_);
    bands_.allow();
    backend_->copy(memory_.get(), data, all, CopyKind::host_to_device, stream);
    backend_->synchronize(StreamRef(stream));
    bands_.forbid();
}

std::vector<std::byte> DeviceTensor::bytes() const {
    const size_t all = view_.bytes() + 2 * kGuardBytes;
    const PinnedMemory staging = make_pinned_memory(*backend_, all);
    const Stream stream(*backend_);
    bands_.allow();
    backend_->copy(staging.get(), memory_.get(), all, CopyKind::device_to_host, stream);
    backend_->synchronize(StreamRef(stream));
    bands_.forbid();
    const auto* data = static_cast<const std::byte*>(staging.get());
    size_t overwritten = 0;
    for (size_t i = 0; i < kGuardBytes; ++i)
        overwritten += (data[i] != kGuard) + (data[all - 1 - i] != kGuard);
    CHECK_MESSAGE(overwritten == 0, overwritten << " bytes around " << view_.to_string());
    return {data + kGuardBytes, data + kGuardBytes + view_.bytes()};
}

namespace {

// What one stream computes on.
struct Lane {
    Lane(Backend& device, size_t scratch_bytes, const std::vector<Output>& outputs)
        : backend(device), scratch(device, DType::u8, {static_cast<int>(scratch_bytes)}),
          stream(device), specs(outputs) {
        for (const Output& output : outputs) {
            tensors.emplace_back(device, output.dtype, output.extents);
            views.push_back(tensors.back().view());
        }
    }
    void reset() {
        for (size_t i = 0; i < tensors.size(); ++i) {
            if (specs[i].initial.empty())
                tensors[i].write(std::vector<std::byte>(views[i].bytes(), std::byte{0xff}));
            else
                tensors[i].write(specs[i].initial);
        }
        // What an op finds in its scratch must not matter.
        scratch.write(std::vector<std::byte>(scratch.view().bytes(), std::byte{0xff}));
    }
    std::vector<std::vector<std::byte>> bytes() const {
        scratch.bytes(); // for its guard bands
        std::vector<std::vector<std::byte>> all;
        for (const DeviceTensor& tensor : tensors)
            all.push_back(tensor.bytes());
        return all;
    }

    Backend& backend;
    DeviceTensor scratch;
    Stream stream;
    const std::vector<Output>& specs;
    std::vector<DeviceTensor> tensors;
    std::vector<View> views;
};

} // namespace

std::vector<std::vector<float>>
run_every_way(Backend& backend, size_t scratch_bytes, const std::vector<Output>& outputs,
              const std::function<void(const std::vector<View>& y, Scratch, StreamRef)>& call) {
    // Under a sanitizer the emulator runs blocks and streams one after the other: what is repeated
    // there takes the very same steps.
    const bool repeats = !kSanitized || backend.properties().kind != "simt";
    Lane first(backend, scratch_bytes, outputs), second(backend, scratch_bytes, outputs);
    const auto enqueue = [&](Lane& lane) {
        call(lane.views, {lane.scratch.view().data, scratch_bytes}, lane.stream);
    };

    first.reset();
    const auto untouched = first.bytes();
    enqueue(first);
    backend.synchronize(StreamRef(first.stream));
    const auto eager = first.bytes();

    if (repeats) {
        first.reset();
        enqueue(first);
        backend.synchronize(StreamRef(first.stream));
        CHECK_MESSAGE(first.bytes() == eager, "a second call differs from the first");
    }

    first.reset();
    backend.begin_capture(first.stream);
    enqueue(first);
    const std::unique_ptr<Graph> graph = backend.end_capture(first.stream);
    backend.synchronize(StreamRef(first.stream));
    CHECK_MESSAGE(first.bytes() == untouched, "the op ran while it was captured");
    for (int i = 0; i < (repeats ? 2 : 1); ++i) {
        first.reset();
        backend.launch(*graph, first.stream);
        backend.synchronize(StreamRef(first.stream));
        CHECK_MESSAGE(first.bytes() == eager, "replay " << i << " differs from the eager call");
    }

    for (int i = 0; i < (repeats ? 3 : 1); ++i) {
        first.reset();
        second.reset();
        enqueue(first);
        enqueue(second);
        backend.synchronize(StreamRef(first.stream));
        backend.synchronize(StreamRef(second.stream));
        CHECK_MESSAGE(first.bytes() == eager, "the first of two streams differs");
        CHECK_MESSAGE(second.bytes() == eager, "the second of two streams differs");
    }

    std::vector<std::vector<float>> values;
    for (size_t i = 0; i < outputs.size(); ++i)
        values.push_back(decode(eager[i], outputs[i].dtype));
    return values;
}

HostTensor::HostTensor(DType dtype, std::vector<int> extents, const std::vector<float>& values)
    : dtype_(dtype), extents_(std::move(extents)), bytes_(encode(values, dtype)) {
    bytes_.insert(bytes_.begin(), std::byte{0});
}

View HostTensor::view() const {
    return make_view(const_cast<std::byte*>(bytes_.data()) + 1, dtype_, extents_);
}

void check_close(const std::vector<float>& x, const std::vector<double>& reference,
                 const std::vector<double>& tolerance) {
    REQUIRE(x.size() == reference.size());
    REQUIRE(x.size() == tolerance.size());
    size_t not_finite = 0, wrong = 0, worst = 0;
    double worst_excess = 0;
    for (size_t i = 0; i < x.size(); ++i) {
        if (!std::isfinite(x[i])) {
            ++not_finite;
            continue;
        }
        const double difference = std::abs(x[i] - reference[i]);
        wrong += difference > tolerance[i];
        const double excess = difference - tolerance[i];
        if (excess > worst_excess) {
            worst_excess = excess;
            worst = i;
        }
    }
    CHECK_MESSAGE(not_finite == 0, not_finite << " of " << x.size() << " are not finite");
    CHECK_MESSAGE(wrong == 0, wrong << " of " << x.size() << " are wrong; element " << worst
                                    << " is " << x[worst] << ", must be " << reference[worst]
                                    << " within " << tolerance[worst]);
}

} // namespace yeoul::test

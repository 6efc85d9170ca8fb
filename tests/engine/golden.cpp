#include "tests/engine/golden.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>

namespace yeoul::test {
namespace {

float from_bf16(uint16_t bits) {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

float from_f16(uint16_t bits) {
    const int exponent = (bits >> 10) & 31;
    const double mantissa = bits & 1023;
    double value =
        exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    if (exponent == 31)
        value = mantissa == 0 ? INFINITY : NAN;
    return static_cast<float>(bits & 0x8000 ? -value : value);
}

} // namespace

std::filesystem::path golden_root() {
    return std::filesystem::path(YEOUL_SOURCE_DIR) / "tests" / "golden";
}

std::vector<std::filesystem::path> golden_models(std::string_view folder) {
    std::vector<std::filesystem::path> directories;
    for (const auto& entry : std::filesystem::directory_iterator(golden_root() / folder))
        if (std::filesystem::exists(entry.path() / "golden.safetensors"))
            directories.push_back(entry.path());
    std::sort(directories.begin(), directories.end());
    return directories;
}

std::vector<float> to_floats(const View& view) {
    std::vector<float> values(view.elements());
    for (size_t i = 0; i < values.size(); ++i) {
        const std::byte* element =
            static_cast<const std::byte*>(view.data) + i * size_bytes(view.dtype);
        uint16_t bits = 0;
        switch (view.dtype) {
        case DType::f32:
            std::memcpy(&values[i], element, sizeof(float));
            break;
        case DType::f16:
        case DType::bf16:
            std::memcpy(&bits, element, sizeof(bits));
            values[i] = view.dtype == DType::f16 ? from_f16(bits) : from_bf16(bits);
            break;
        default:
            throw std::logic_error("not a float tensor: " + view.to_string());
        }
    }
    return values;
}

Golden::Golden(const std::filesystem::path& path)
    : directory(path), config(loader::read_model_config(path)),
      preprocessor(loader::read_preprocessor(path)),
      weights(loader::Safetensors::open_directory(path)) {
    const loader::Safetensors file = loader::Safetensors::open_file(path / "golden.safetensors");
    for (const auto& [name, info] : file.tensors()) {
        if (name == "pixels") {
            photos = static_cast<int>(info.shape[0]);
            pixels.resize(info.data.size());
            std::memcpy(pixels.data(), info.data.data(), pixels.size());
            continue;
        }
        Tensor tensor{.shape = std::vector<int>(info.shape.begin(), info.shape.end()),
                      .values = to_floats(loader::view(info))};
        reference.emplace(name, std::move(tensor));
    }
}

Tensors forward(const Golden& golden, Backend& backend, Numerics numerics) {
    const int batch = golden.photos, size = golden.config.clip_vision.image_size;
    Checkpoint checkpoint(golden.weights);
    ClipVision model(golden.config.clip_vision, golden.preprocessor.normalization_table(),
                     checkpoint, backend, numerics, {batch});

    Stream stream(backend);
    const DeviceMemory arena = make_device_memory(backend, model.activation_bytes(batch));
    const DeviceMemory slots = make_device_memory(backend, golden.pixels.size());
    const DeviceMemory index = make_device_memory(backend, batch * sizeof(int32_t));
    const DeviceMemory embeds = make_device_memory(backend, batch * model.dim() * sizeof(float));
    const DeviceMemory norms = make_device_memory(backend, batch * sizeof(float));

    const auto upload = [&](const DeviceMemory& y, const void* x, size_t bytes) {
        const PinnedMemory pinned = make_pinned_memory(backend, bytes);
        std::memcpy(pinned.get(), x, bytes);
        backend.copy(y.get(), pinned.get(), bytes, CopyKind::host_to_device, stream);
        backend.synchronize(stream);
    };
    std::vector<int32_t> order(batch);
    for (int i = 0; i < batch; ++i)
        order[i] = i;
    upload(slots, golden.pixels.data(), golden.pixels.size());
    upload(index, order.data(), order.size() * sizeof(int32_t));

    Tensors seen;
    model.forward({View(slots.get(), DType::u8, {batch, size, size, 3}),
                   View(index.get(), DType::i32, {batch})},
                  {View(embeds.get(), DType::f32, {batch, model.dim()}),
                   View(norms.get(), DType::f32, {batch})},
                  Arena(arena.get(), model.activation_bytes(batch)), stream,
                  [&](std::string_view name, const View& view) {
                      const PinnedMemory pinned = make_pinned_memory(backend, view.bytes());
                      backend.copy(pinned.get(), view.data, view.bytes(), CopyKind::device_to_host,
                                   stream);
                      backend.synchronize(stream);
                      View host = view;
                      host.data = pinned.get();
                      Tensor tensor{.shape = {view.shape.begin(), view.shape.begin() + view.rank},
                                    .values = to_floats(host)};
                      seen.emplace(name, std::move(tensor));
                  });
    backend.synchronize(stream);
    return seen;
}

std::map<std::string, Distance> distances(const Tensors& seen, const Tensors& reference) {
    std::map<std::string, Distance> result;
    for (const auto& [name, tensor] : seen) {
        const auto expected = reference.find(name);
        if (expected == reference.end() || expected->second.values.size() != tensor.values.size())
            continue;
        result.emplace(name, distance_by_row(tensor.values, expected->second.values,
                                             static_cast<size_t>(tensor.shape.back())));
    }
    return result;
}

double worst_relative_l2(const Tensor& tensor, const Tensor& reference, int photos) {
    const size_t count = tensor.values.size() / photos;
    double worst = 0;
    for (int i = 0; i < photos; ++i) {
        const Distance d = distance(std::span(tensor.values).subspan(i * count, count),
                                    std::span(reference.values).subspan(i * count, count));
        worst = std::max(worst, d.finite ? d.relative_l2 : INFINITY);
    }
    return worst;
}

} // namespace yeoul::test

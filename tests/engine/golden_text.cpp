#include "tests/engine/golden_text.h"

#include <algorithm>
#include <cstring>

#include "loader/json.h"
#include "loader/model_directory.h"

namespace yeoul::test {

GoldenText::GoldenText(const std::filesystem::path& path)
    : directory(path), config(loader::read_clip_text_config(path)) {
    const loader::Json json =
        loader::parse_json(loader::read_text_file(path / "golden.json"), "golden.json");
    for (const loader::Json& text : *json.find("texts")->array())
        texts.push_back(*text.string());
    const loader::Safetensors file = loader::Safetensors::open_file(path / "golden.safetensors");
    for (const auto& [name, info] : file.tensors()) {
        if (name == "ids") {
            ids.resize(info.data.size() / sizeof(int32_t));
            std::memcpy(ids.data(), info.data.data(), info.data.size());
        } else if (info.dtype == "F32") {
            reference.emplace(name, Tensor{{info.shape.begin(), info.shape.end()},
                                           to_floats(loader::view(info))});
        }
    }
}

Tensors forward_text(const GoldenText& golden, Backend& backend, Numerics numerics) {
    const int batch = static_cast<int>(golden.texts.size());
    Checkpoint checkpoint(loader::Safetensors::open_directory(golden.directory));
    const ClipText model(golden.config, checkpoint, backend, numerics, {batch});
    const size_t context = model.context();
    std::vector<int32_t> pooled;
    for (int i = 0; i < batch; ++i)
        pooled.push_back(model.pooled_token(std::span(golden.ids).subspan(i * context, context)));

    Stream stream(backend);
    const auto upload = [&](const std::vector<int32_t>& x) {
        const PinnedMemory pinned = make_pinned_memory(backend, x.size() * sizeof(int32_t));
        std::memcpy(pinned.get(), x.data(), x.size() * sizeof(int32_t));
        DeviceMemory y = make_device_memory(backend, x.size() * sizeof(int32_t));
        backend.copy(y.get(), pinned.get(), x.size() * sizeof(int32_t), CopyKind::host_to_device,
                     stream);
        backend.synchronize(stream);
        return y;
    };
    const DeviceMemory ids = upload(golden.ids), index = upload(pooled);
    const DeviceMemory arena = make_device_memory(backend, model.activation_bytes(batch));
    const DeviceMemory embeds = make_device_memory(backend, batch * model.dim() * sizeof(float));
    const DeviceMemory norms = make_device_memory(backend, batch * sizeof(float));

    Tensors seen;
    model.forward(
        {View(ids.get(), DType::i32, {batch, model.context()}),
         View(index.get(), DType::i32, {batch})},
        {View(embeds.get(), DType::f32, {batch, model.dim()}),
         View(norms.get(), DType::f32, {batch})},
        Arena(arena.get(), model.activation_bytes(batch)), stream,
        [&](std::string_view name, const View& view) {
            const PinnedMemory pinned = make_pinned_memory(backend, view.bytes());
            backend.copy(pinned.get(), view.data, view.bytes(), CopyKind::device_to_host, stream);
            backend.synchronize(stream);
            View host = view;
            host.data = pinned.get();
            seen.emplace(name, Tensor{{view.shape.begin(), view.shape.begin() + view.rank},
                                      to_floats(host)});
        });
    backend.synchronize(stream);
    return seen;
}

} // namespace yeoul::test

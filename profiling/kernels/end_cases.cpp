// The ends of a pass: photos into slots, the begin of a text, and what follows an embedding.
#include <cstring>

#include "engine/resize_table.h"
#include "profiling/kernels/case_state.h"

namespace yeoul::bench_kernels {

void Cases::add_labels(const Shapes& model, int labels) {
    State& state = *state_;
    const DType w_type = state.numerics.compute;
    const int dim = model.out;
    const int largest = *std::max_element(state.batches.begin(), state.batches.end());
    state.grow(state.x, state.numerics.compute,
               std::max(size_t{4} * largest * labels, size_t{4} * labels * dim));
    state.grow(state.y, state.numerics.residual, size_t{4} * largest * labels);
    // fp32 of its own: what `x` holds are values of another type.
    state.grow(state.embeds, DType::f32, size_t{4} * largest * std::max(labels, dim));
    state.grow(state.norms, DType::f32, size_t{4} * largest * TopKDesc::kMaxK);

    add_op("similarity", model, [&] {
        std::shared_ptr<Similarity> op = state.backend.similarity(
            {.labels = labels, .dim = dim, .scale = 1, .w = w_type, .batches = state.batches});
        return std::pair(std::shared_ptr<Op>(op), [=, &state](int batch) {
            const double n = batch, wide = static_cast<double>(size_bytes(w_type));
            return Case{.shape = row_shape(labels, dim),
                        .flop = 2.0 * n * labels * dim,
                        .bytes = wide * labels * dim + 4 * n * (dim + labels + 1.0),
                        .call = [=, &state](int turn, StreamRef stream) {
                            const View x(state.embeds->at(1, 0), DType::f32, {batch, dim});
                            // Any positive numbers do for lengths.
                            const View norm(state.embeds->at(1, 0), DType::f32, {batch});
                            (*op)(x, norm, state.input({labels, dim}, w_type, turn),
                                  state.output({batch, labels}, DType::f32, turn),
                                  state.scratch_of(*op), stream);
                        }};
        });
    });
    add_op("top_k", model, [&] {
        constexpr int kCount = 5;
        std::shared_ptr<TopK> op = state.backend.top_k(
            {.classes = labels, .k = std::min(kCount, labels), .batches = state.batches});
        const int k = std::min(kCount, labels);
        return std::pair(std::shared_ptr<Op>(op), [=, &state](int batch) {
            return Case{.shape = "5 of " + std::to_string(labels),
                        .bytes = 4.0 * batch * (labels + 2 * k),
                        .call = [=, &state](int turn, StreamRef stream) {
                            View x(nullptr, DType::f32, {batch, labels});
                            x.data = state.embeds->at(x.bytes(), turn);
                            const View indices(state.norms->at(1, 0), DType::i32, {batch, k});
                            (*op)(x, state.output({batch, k}, DType::f32, turn), indices,
                                  state.scratch_of(*op), stream);
                        }};
        });
    });
}

void Cases::add_text(const Shapes& model) {
    // Rows of the table come from memory at any size beyond the L2's; CLIP's is six times larger.
    constexpr int kVocabulary = 8192, kTokens = 77;
    State& state = *state_;
    const int dim = model.out; // of published models
    const DType dtype = state.numerics.residual;
    const int largest = *std::max_element(state.batches.begin(), state.batches.end());
    state.grow(state.y, dtype, size_t{4} * largest * kTokens * dim);
    std::vector<int32_t> ids(static_cast<size_t>(largest) * kTokens);
    std::mt19937 random(3);
    for (int32_t& id : ids)
        id = static_cast<int32_t>(random() % kVocabulary);
    const std::shared_ptr<void> on_device(make_device_memory(state.backend, 4 * ids.size()));
    upload(state.backend, on_device.get(), ids.data(), 4 * ids.size());

    add_op("text_embedding", model, [&] {
        std::shared_ptr<TextEmbedding> op = state.backend.text_embedding(
            {.vocabulary = kVocabulary,
             .tokens = kTokens,
             .dim = dim,
             .y = dtype,
             .batches = state.batches},
            {.token = state.weight({kVocabulary, dim}), .position = state.weight({kTokens, dim})});
        return std::pair(std::shared_ptr<Op>(op), [=, &state](int batch) {
            const double wide = static_cast<double>(size_bytes(dtype));
            return Case{.shape = row_shape(kTokens, dim),
                        .bytes = 2 * wide * batch * kTokens * dim,
                        .call = [=, &state](int turn, StreamRef stream) {
                            (*op)(View(on_device.get(), DType::i32, {batch, kTokens}),
                                  state.output({batch, kTokens, dim}, dtype, turn), stream);
                        }};
        });
    });
}

void Cases::add_resize(const Shapes& model) {
    State& state = *state_;
    const int largest = *std::max_element(state.batches.begin(), state.batches.end());
    std::shared_ptr<Resize> op =
        state.backend.resize({.height = model.image, .width = model.image, .tasks = largest});
    if (!op) // such a device resizes on the host
        return;
    state.ops.push_back(op);
    state.grow(state.photos, DType::u8, size_t{3} * model.image * model.image * largest);
    struct Size {
        int height, width;
    };
    for (const Size size : {Size{375, 500}, Size{720, 1280}, Size{2250, 4000}}) {
        // The shortest edge becomes the model's, and the centre is kept.
        loader::ResizePlan plan;
        plan.in_height = size.height;
        plan.in_width = size.width;
        plan.out_height = model.image;
        plan.out_width = static_cast<int>(int64_t{model.image} * size.width / size.height);
        plan.left = (plan.out_width - model.image) / 2;
        plan.height = plan.width = model.image;
        const PlannedResize window(plan, loader::Resample::bicubic);
        const int pitch = 3 * window.columns();
        const size_t photo_bytes = (static_cast<size_t>(pitch) * window.rows() + 3) / 4 * 4;
        for (const int batch : state.batches) {
            std::vector<ResizeEntry> entries;
            for (int i = 0; i < batch; ++i)
                entries.push_back({&window, photo_bytes * i, pitch, i});
            const size_t source_bytes = photo_bytes * batch;
            if (source_bytes > size_t{1} << 30)
                continue; // the engine would not send so many at once
            state.grow(state.sources, DType::u8, source_bytes);
            std::vector<std::byte> table(resize_table_bytes(entries));
            fill_resize_table(entries, {source_bytes, batch, model.image, model.image},
                              table.data(), table.size());
            const std::shared_ptr<void> on_device(make_device_memory(state.backend, table.size()));
            upload(state.backend, on_device.get(), table.data(), table.size());
            const double read = static_cast<double>(source_bytes);
            list_.push_back({.op = "resize",
                             .model = model.name,
                             .shape = row_shape(size.height, size.width),
                             .kernel = op->kernel(batch),
                             .batch = batch,
                             .bytes = read + 3.0 * batch * model.image * model.image,
                             .call = [=, &state, bytes = static_cast<int>(table.size())](
                                         int turn, StreamRef stream) {
                                 View source(nullptr, DType::u8, {static_cast<int>(source_bytes)});
                                 source.data = state.sources->at(source.bytes(), turn);
                                 (*op)(source, View(on_device.get(), DType::u8, {bytes}), batch,
                                       View(state.photos->at(1, 0), DType::u8,
                                            {batch, model.image, model.image, 3}),
                                       stream);
                             }});
        }
    }
}

} // namespace yeoul::bench_kernels

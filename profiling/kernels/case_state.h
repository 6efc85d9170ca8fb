// How the cases are kept: the buffers they share, and the making of one.
#pragma once

#include <algorithm>
#include <random>

#include "profiling/kernels/cases.h"

namespace yeoul::bench_kernels {

void upload(Backend& backend, void* y, const void* x, size_t bytes);
std::string row_shape(int rows, int columns);

struct Cases::State {
    Backend& backend;
    Numerics numerics;
    std::vector<int> batches;
    size_t rotate_bytes;
    std::vector<std::shared_ptr<Op>> ops;
    std::unique_ptr<Values> x, y, photos, scratch;
    std::unique_ptr<Values> index; // 0, 1, 2, ...
    std::unique_ptr<Values> norms, embeds, sources;
    std::vector<std::vector<float>> weights;

    /// Seeded host weights; small ones, so that a sum over many calls stays finite.
    View weight(std::initializer_list<int> shape, float scale = 0.01f) {
        View view(nullptr, DType::f32, shape);
        std::mt19937 random(static_cast<unsigned>(weights.size()));
        std::uniform_real_distribution<float> uniform(-scale, scale);
        std::vector<float> values(view.elements());
        std::generate(values.begin(), values.end(), [&] { return uniform(random); });
        weights.push_back(std::move(values));
        view.data = weights.back().data();
        return view;
    }

    void grow(std::unique_ptr<Values>& values, DType dtype, size_t bytes) {
        if (!values || values->bytes() < bytes)
            values = std::make_unique<Values>(backend, dtype, std::max(bytes, rotate_bytes));
    }
    View input(std::initializer_list<int> shape, DType dtype, int turn) const {
        View view(nullptr, dtype, shape);
        view.data = x->at(view.bytes(), turn);
        return view;
    }
    View output(std::initializer_list<int> shape, DType dtype, int turn) const {
        View view(nullptr, dtype, shape);
        view.data = y->at(view.bytes(), turn);
        return view;
    }
    Scratch scratch_of(const Op& op) const {
        const size_t bytes = op.scratch_bytes();
        return bytes ? Scratch{scratch->at(bytes, 0), bytes} : Scratch{};
    }
};

/// `make` gives an op and a function batch -> Case; a backend that lacks the op is listed as such.
template <class Make>
void Cases::add_op(const char* op, const Shapes& model, Make make) {
    try {
        auto [made, describe] = make();
        state_->grow(state_->scratch, DType::u8, std::max<size_t>(1, made->scratch_bytes()));
        state_->ops.push_back(made);
        for (int batch : state_->batches) {
            Case entry = describe(batch);
            entry.op = op;
            entry.model = model.name;
            entry.batch = batch;
            entry.kernel = made->kernel(batch);
            list_.push_back(std::move(entry));
        }
    } catch (const Error& error) {
        list_.push_back({.op = op, .model = model.name, .missing = error.what()});
    }
    state_->weights.clear(); // packed while the op was made
}

} // namespace yeoul::bench_kernels

#include "kernels/cuda/gemm_tune.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>

#include "kernels/cuda/gemm_plan.h"

namespace yeoul::cuda {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLeastRounds = 1, kMostRounds = 15; // a median of 15 moves by about a percent
constexpr double kHopeless = 2.5;    // times the best prediction: the model is not off by that much
constexpr size_t kPattern = 1 << 16; // halves, repeated over the operands

// Random halves below 1: zeros draw less power, and a T4's clock follows power.
std::vector<uint16_t> pattern() {
    std::vector<uint16_t> values(kPattern);
    uint32_t state = 1;
    for (uint16_t& value : values) {
        state = state * 1664525U + 1013904223U;                             // Numerical Recipes
        value = static_cast<uint16_t>(((state >> 16) & 0x83ffU) | 0x2c00U); // +-1/16 to 1/8
    }
    return values;
}

// Device memory full of the pattern.
class Operand {
public:
    Operand(const Context& context, const void* staging, size_t bytes)
        : memory_(make_device_memory(context.device, bytes)) {
        constexpr size_t kStep = kPattern * sizeof(uint16_t);
        for (size_t at = 0; at < bytes; at += kStep)
            context.device.copy(static_cast<char*>(memory_.get()) + at, staging,
                                std::min(kStep, bytes - at), CopyKind::host_to_device,
                                context.stream);
    }
    void* data() const { return memory_.get(); }

private:
    DeviceMemory memory_;
};

std::vector<GemmChoice> candidates(const GemmMachine& machine, const GemmShape& shape) {
    std::vector<OwnGemm> own;
    double best = 0;
    for (int tile = 0; tile < static_cast<int>(kGemmTiles.size()); ++tile) {
        own.push_back({tile, 1});
        if (const OwnGemm split = best_split(machine, shape, tile); split.splits > 1)
            own.push_back(split);
    }
    for (const OwnGemm& how : own) {
        const double us = predicted_us(machine, shape, how);
        best = best == 0 ? us : std::min(best, us);
    }
    std::vector<GemmChoice> all;
    if (machine.library != nullptr)
        all.push_back({true, {}});
    for (const OwnGemm& how : own)
        if (predicted_us(machine, shape, how) <= kHopeless * best)
            all.push_back({false, how});
    return all;
}

// 16 MB of zeros take a T4 about 70 us, 256 MB an H100 about 90: longer than the host needs for any
// product. They also push the operands out of the L2, as the ops between two products do.
size_t busy_bytes(const Context& context) {
    return size_t{context.sm_count > 60 ? 256U : 16U} << 20;
}

struct Candidate {
    GemmChoice choice;
    GemmPlan plan;
    std::vector<double> us;
};

double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

// Each round times every candidate once, so that a clock that drifts touches all alike.
GemmTable::Row tune_shape(const Context& context, const GemmShape& shape, const void* staging,
                          double seconds) {
    const auto start = Clock::now();
    const size_t rows = shape.rows, columns = shape.columns;
    const Operand x(context, staging, rows * shape.inner * 2);
    const Operand w(context, staging, columns * padded(shape.inner, kGemmInner) * 2);
    const Operand y(context, staging, rows * columns * 2);
    // Of the pattern's halves two make a float near 0.
    const Operand bias(context, staging, padded(shape.columns, kGemmPadding) * sizeof(float));
    const GemmPlan::Operands operands{x.data(), w.data(), static_cast<const float*>(bias.data()),
                                      bias.data(), y.data()};
    const GemmMachine machine = machine_of(context);
    std::vector<Candidate> all;
    size_t scratch_bytes = 0;
    for (const GemmChoice& choice : candidates(machine, shape)) {
        all.push_back({choice, GemmPlan(context, shape, choice, true), {}});
        if (choice.library && !all.back().plan.by_library()) {
            all.pop_back();
            continue;
        }
        scratch_bytes = std::max(scratch_bytes, all.back().plan.scratch_bytes());
    }
    const DeviceMemory scratch = make_device_memory(context.device, scratch_bytes);
    const DeviceMemory busy = make_device_memory(context.device, busy_bytes(context));
    const Event first(context.device), last(context.device);
    const auto spent = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
    for (int round = 0; round < kMostRounds; ++round) {
        if (round > kLeastRounds && spent() > seconds)
            break;
        for (Candidate& candidate : all) {
            // While this runs the host hands out what is timed: its own time is not in the figures.
            context.device.zero(busy.get(), busy_bytes(context), context.stream);
            context.device.record(first, context.stream);
            candidate.plan.run(operands, scratch.get(), context.stream);
            context.device.record(last, context.stream);
            context.device.synchronize(EventRef(last));
            if (round > 0) // the first loads code and weights
                candidate.us.push_back(1e3 * context.device.elapsed_ms(first, last));
        }
    }
    GemmTable::Row row{context.sm, machine.library_name(), shape, {}, {}};
    for (const Candidate& candidate : all)
        row.measured.push_back({candidate.choice, median(candidate.us)});
    row.choice = std::min_element(row.measured.begin(), row.measured.end(),
                                  [](const auto& a, const auto& b) { return a.us < b.us; })
                     ->choice;
    return row;
}

} // namespace

std::vector<GemmTable::Row> tune(const Context& context, std::span<const GemmShape> shapes,
                                 double seconds) {
    const std::vector<uint16_t> values = pattern();
    const size_t bytes = values.size() * sizeof(uint16_t);
    const PinnedMemory staging = make_pinned_memory(context.device, bytes);
    std::memcpy(staging.get(), values.data(), bytes);
    std::vector<GemmTable::Row> rows;
    for (const GemmShape& shape : shapes)
        rows.push_back(tune_shape(context, shape, staging.get(),
                                  seconds / static_cast<double>(shapes.size())));
    return rows;
}

} // namespace yeoul::cuda

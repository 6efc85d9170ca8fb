#include "engine/batching/wave_model.h"

#include <algorithm>

namespace yeoul::batching {
namespace {

struct Gemm {
    int rows, columns, depth, count; // rows: per photo
};

} // namespace

GpuModel t4() {
    return {40, 25e12, 240e9, 4e6, 0.5, 1.5, {{128, 96, 1.0}}};
}

GpuModel t4_many_tiles() {
    GpuModel gpu = t4();
    gpu.tiles = {{128, 128, 1.0}, {128, 96, 0.98}, {128, 64, 0.93}, {64, 128, 0.93},
                 {64, 96, 0.89},  {64, 64, 0.82},  {96, 128, 0.98}, {256, 128, 1.02},
                 {128, 192, 1.0}, {96, 96, 0.95},  {64, 192, 0.95}};
    return gpu;
}

double wave_efficiency(const GpuModel& gpu, int rows, int columns) {
    const auto ceil_divide = [](int a, int b) { return (a + b - 1) / b; };
    double best = 0;
    for (const Tile& tile : gpu.tiles) {
        const int blocks = ceil_divide(rows, tile.rows) * ceil_divide(columns, tile.columns);
        const double busiest = ceil_divide(blocks, gpu.sms);
        const double area = busiest * gpu.sms * tile.rows * tile.columns;
        best = std::max(best, tile.rate * rows * columns / area);
    }
    return best;
}

std::vector<BatchCost> wave_model(const GpuModel& gpu, const VisionTransformer& model, int most) {
    const int d = model.hidden_dim, layers = model.layers;
    const Gemm gemms[] = {{model.patches, d, model.patch_dim, 1},
                          {model.tokens, 3 * d, d, layers},
                          {model.tokens, d, d, layers},
                          {model.tokens, model.mlp_dim, d, layers},
                          {model.tokens, d, model.mlp_dim, layers}};
    const double attention_flop = 4.0 * model.tokens * model.tokens * d * layers;
    double parameters = static_cast<double>(d) * model.projection_dim +
                        static_cast<double>(d) * (model.patch_dim + model.tokens + 5);
    parameters += layers * (4.0 * d * d + 2.0 * d * model.mlp_dim + 9.0 * d + model.mlp_dim);
    // Bytes per photo with layer norms folded into the GEMMs: 22 passes over (tokens, dim) halves.
    const double activations = 22.0 * 2 * model.tokens * d * layers + 3 * 224 * 224 * 2;

    std::vector<BatchCost> curve;
    double last_us = 0;
    for (int batch = 1; batch <= most; ++batch) {
        double seconds = batch * attention_flop / (gpu.flops * gpu.attention_rate);
        for (const Gemm& gemm : gemms) {
            const int rows = gemm.rows * batch;
            const double flop = 2.0 * rows * gemm.columns * gemm.depth * gemm.count;
            seconds += flop / (gpu.flops * wave_efficiency(gpu, rows, gemm.columns));
        }
        double bytes = 2 * parameters;
        if (8.0 * model.tokens * d * batch > gpu.l2_bytes) // the MLP's hidden rows, in halves
            bytes += batch * activations;
        seconds = std::max(seconds, bytes / gpu.bytes_per_s);
        last_us = std::max(last_us, model.kernels * gpu.launch_us + seconds * 1e6);
        curve.push_back({batch, last_us});
    }
    return curve;
}

} // namespace yeoul::batching

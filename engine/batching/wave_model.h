// How long a vision transformer takes per batch size when whole waves of thread blocks decide it:
// what the cost table holds before anything was measured.
#pragma once

#include <vector>

#include "engine/batching/cost_table.h"

namespace yeoul::batching {

/// What one thread block of a GEMM computes, and its main loop's rate beside that of 128x128.
struct Tile {
    int rows, columns;
    double rate;
};

struct GpuModel {
    int sms;
    double flops;            // sustained fp16, per second
    double bytes_per_s;      // of device memory, copied
    double l2_bytes;         // activations beyond it travel
    double attention_rate;   // share of `flops` that attention reaches
    double launch_us;        // of one kernel that the one before it does not hide
    std::vector<Tile> tiles; // each GEMM takes the one that suits its shape best
};

/// 40 SMs; 25 TFLOPS is what its 70 W sustain of 65; 240 GB/s of 320. Tiles of 128x96 make whole
/// waves of a hidden size of 768.
GpuModel t4();
/// The same with a choice of eleven tiles per GEMM; their rates are estimates from their traffic.
GpuModel t4_many_tiles();

struct VisionTransformer {
    int tokens, patches, patch_dim; // patch_dim: 3 * patch * patch
    int hidden_dim, mlp_dim, layers, projection_dim;
    int kernels; // launched per forward pass
};

constexpr VisionTransformer kClipB32{50, 49, 3072, 768, 3072, 12, 512, 80};
constexpr VisionTransformer kClipB16{197, 196, 768, 768, 3072, 12, 512, 80};
constexpr VisionTransformer kClipL14{257, 256, 588, 1024, 4096, 24, 768, 150};

/// The share of the tensor cores' work that is wanted when (rows, columns) is cut into tiles and
/// the busiest SM decides: tiles that stick out, and waves that are not full, are lost. Of the best
/// tile, times its rate.
double wave_efficiency(const GpuModel& gpu, int rows, int columns);

/// Times of the batches 1 to `most`:
///   launches + max( sum over GEMMs of flop / (flops * efficiency) + attention,
///                   (weights + activations beyond the L2) / bytes_per_s )
/// made to not fall with the batch, because a smaller one may always be padded.
std::vector<BatchCost> wave_model(const GpuModel& gpu, const VisionTransformer& model, int most);

} // namespace yeoul::batching

// The main loop of the own matrix product. One block computes one tile of y from steps of 32 along
// the inner extent: the next step travels from global memory into registers while tensor cores work
// on this one from shared memory, of which there are two buffers (sm_75 has no asynchronous copy).
#pragma once

#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/mma.cuh"
#include "kernels/cuda/device/shared.cuh"
#include "kernels/cuda/device/warp.cuh"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/gemm_end.cuh"

namespace yeoul::cuda {

/// A tile of Rows x Columns, each warp with its part of it; `Blocks` of them share an SM.
template <int Rows, int Columns, int WarpRows, int WarpColumns, int Blocks>
struct TileShape {
    static constexpr int kRows = Rows, kColumns = Columns;
    static constexpr int kWarpRows = WarpRows, kWarpColumns = WarpColumns;
    static constexpr int kWarpsDown = Rows / WarpRows;
    static constexpr int kWarps = kWarpsDown * (Columns / WarpColumns);
    static constexpr int kThreads = kWarps * kWarp;
    static constexpr int kBlocks = Blocks;
    static constexpr int kBufferHalves = (Rows + Columns) * kGemmInner;
    // A strip of 16 rows of each warp passes through shared memory at the end.
    static constexpr int kStripFloats = 16 * WarpColumns;
    static_assert(WarpRows % 16 == 0 && WarpColumns % 16 == 0);
    static_assert(kWarps * kStripFloats * sizeof(float) <= 2 * kBufferHalves * sizeof(half));
};

struct GemmOperands {
    const half* x;  // (rows, inner)
    const half* w;  // (columns, w_stride)
    float* partial; // (splits, rows, columns padded to kPack), or null where nothing is split
    int inner, w_stride;
    int steps; // of the main loop, for each split
};

/// Row tiles that follow each other before the next column tile: with two blocks on each of 40 SMs
/// a wave then covers 8 x 10 tiles of 128x96, the shape with the fewest bytes to load, instead of a
/// strip as wide as the weights, which L2 cannot hold.
constexpr int kRowGroup = 8;

/// Which tile of y a block owns.
__device__ __forceinline__ int2 tile_of_block(int block, int row_tiles, int column_tiles) {
    const int group = block / (kRowGroup * column_tiles);
    const int first = group * kRowGroup;
    const int high = min(kRowGroup, row_tiles - first);
    const int within = block - first * column_tiles;
    return make_int2(first + within % high, within / high);
}

/// Eight halves of a row from `column` on, zeros from `columns` on. Rows start at multiples of
/// `Vector` halves, and `columns` is one.
template <int Vector>
__device__ __forceinline__ uint4 load_chunk(const half* row, int column, int columns) {
    uint4 y = make_uint4(0, 0, 0, 0);
    if constexpr (Vector == 8) {
        if (column < columns)
            y = *reinterpret_cast<const uint4*>(row + column);
    } else if constexpr (Vector == 4) {
        const int left = columns - column;
        if (left > 0) {
            const uint2* pairs = reinterpret_cast<const uint2*>(row + column);
            const uint2 low = pairs[0], high = left > 4 ? pairs[1] : make_uint2(0, 0);
            y = make_uint4(low.x, low.y, high.x, high.y);
        }
    } else {
        unsigned bits[4] = {};
#pragma unroll
        for (int i = 0; i < 8; ++i)
            if (column + i < columns)
                bits[i / 2] |= static_cast<unsigned>(__half_as_ushort(row[column + i]))
                               << (16 * (i % 2));
        y = make_uint4(bits[0], bits[1], bits[2], bits[3]);
    }
    return y;
}

// In shared memory a row of 32 halves is four chunks of 16 bytes; chunk c of row r lies at
// c ^ (r / 2 % 4), so that eight rows of one column of chunks, and eight chunks of two rows, touch
// all 32 banks once.
//
// Thread t of a block loads chunk t % 4 of rows t / 4, t / 4 + threads / 4, ... of x, then of w.
// A row beyond the last is read as the last: nothing of it is stored, and no row sees another.
// Warp w owns rows w % kWarpsDown and columns w / kWarpsDown of the tile, in multiples of its own.
//
// The barriers: a buffer is written while the other is read. The barrier after the writing lets all
// see it, and says that all have read the other one, which is then written next.
template <class Tile, int Vector>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    gemm_kernel(GemmOperands operands, GemmEnd end) {
    constexpr int kChunks = kGemmInner / kPack;
    constexpr int kRowsAtOnce = Tile::kThreads / kChunks;
    constexpr int kLoadsX = Tile::kRows / kRowsAtOnce;
    constexpr int kLoadsW = (Tile::kColumns + kRowsAtOnce - 1) / kRowsAtOnce;
    constexpr int kDown = Tile::kWarpRows / 16, kAcross = Tile::kWarpColumns / 8;
    static_assert(Tile::kRows % kRowsAtOnce == 0 && kRowsAtOnce % 8 == 0);
    YEOUL_SHARED(uint4, shared, [2 * Tile::kBufferHalves / kPack]);
    half* const buffers = reinterpret_cast<half*>(shared);

    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const int warp_row = warp % Tile::kWarpsDown * Tile::kWarpRows;
    const int warp_column = warp / Tile::kWarpsDown * Tile::kWarpColumns;
    const int column_tiles = (end.columns + Tile::kColumns - 1) / Tile::kColumns;
    const int2 tile = tile_of_block(blockIdx.x, gridDim.x / column_tiles, column_tiles);
    const int row = tile.x * Tile::kRows, column = tile.y * Tile::kColumns;

    const int chunk = threadIdx.x % kChunks, load_row = threadIdx.x / kChunks;
    const half* x = operands.x + static_cast<size_t>(row) * operands.inner;
    const half* w = operands.w + static_cast<size_t>(column) * operands.w_stride;
    int x_row[kLoadsX], w_row[kLoadsW]; // offsets from x and w
#pragma unroll
    for (int i = 0; i < kLoadsX; ++i)
        x_row[i] = min(load_row + i * kRowsAtOnce, end.rows - 1 - row) * operands.inner;
#pragma unroll
    for (int i = 0; i < kLoadsW; ++i)
        w_row[i] = min(load_row + i * kRowsAtOnce, end.columns - 1 - column) * operands.w_stride;

    uint4 x_chunks[kLoadsX], w_chunks[kLoadsW];
    const auto owns_w = [&](int i) { // of the last, fewer threads have one
        return (i + 1) * kRowsAtOnce <= Tile::kColumns ||
               load_row + i * kRowsAtOnce < Tile::kColumns;
    };
    const auto load = [&](int k) {
#pragma unroll
        for (int i = 0; i < kLoadsX && Vector > 1; ++i)
            x_chunks[i] = load_chunk<Vector>(x + x_row[i], k, operands.inner);
#pragma unroll
        for (int i = 0; i < kLoadsW; ++i)
            if (owns_w(i))
                w_chunks[i] = *reinterpret_cast<const uint4*>(w + w_row[i] + k);
    };
    const int stored = (load_row * kChunks + (chunk ^ (load_row / 2 % kChunks))) * kPack;
    const auto store = [&](half* buffer, int k) {
        if constexpr (Vector > 1) {
#pragma unroll
            for (int i = 0; i < kLoadsX; ++i)
                store_shared(buffer + stored + i * kRowsAtOnce * kGemmInner, x_chunks[i]);
        } else {
            // Eight loads for a chunk take more registers than there are beside the sums: rows of
            // such a length, which no model has, wait for memory here, one chunk after the other.
#pragma unroll 1
            for (int i = 0; i < kLoadsX; ++i) {
                const int x_row_now = min(load_row + i * kRowsAtOnce, end.rows - 1 - row);
                store_shared(buffer + stored + i * kRowsAtOnce * kGemmInner,
                             load_chunk<Vector>(x + x_row_now * operands.inner, k, operands.inner));
            }
        }
        buffer += Tile::kRows * kGemmInner;
#pragma unroll
        for (int i = 0; i < kLoadsW; ++i)
            if (owns_w(i))
                store_shared(buffer + stored + i * kRowsAtOnce * kGemmInner, w_chunks[i]);
    };

    // Where this lane's rows for ldmatrix lie. Of x: matrices (rows 0-7, 8-15) of chunk 0, then of
    // chunk 1; of w: chunks (0, 1) of columns 0-7, then of columns 8-15. Both rows are lane / 2 % 4
    // in the swizzle, and the next two chunks are an exclusive or with 2 away.
    const int swizzle = lane / 2 % kChunks;
    const int x_lane = (warp_row + lane % 16) * kGemmInner + ((lane / 16) ^ swizzle) * kPack;
    const int w_lane = (Tile::kRows + warp_column + lane % 8 + lane / 16 * 8) * kGemmInner +
                       ((lane / 8 % 2) ^ swizzle) * kPack;

    float sums[kDown][kAcross][4] = {};
    const auto multiply = [&](const half* buffer) {
#pragma unroll
        for (int k = 0; k < kChunks; k += 2) {
            uint32_t a[kDown][4], b[kAcross / 2][4];
#pragma unroll
            for (int i = 0; i < kDown; ++i)
                ldmatrix_x4(a[i], buffer + (x_lane ^ (k * kPack)) + i * 16 * kGemmInner);
#pragma unroll
            for (int j = 0; j < kAcross / 2; ++j)
                ldmatrix_x4(b[j], buffer + (w_lane ^ (k * kPack)) + j * 16 * kGemmInner);
#pragma unroll
            for (int h = 0; h < 2; ++h)
#pragma unroll
                for (int i = 0; i < kDown; ++i)
#pragma unroll
                    for (int j = 0; j < kAcross; ++j)
                        mma_m16n8k8(sums[i][j], {a[i][2 * h], a[i][2 * h + 1]},
                                    b[j / 2][2 * (j % 2) + h]);
        }
    };

    const int first = blockIdx.y * operands.steps;
    const int last = min(first + operands.steps, (operands.inner + kGemmInner - 1) / kGemmInner);
    int k = first * kGemmInner + chunk * kPack;
    load(k);
    store(buffers, k);
    __syncthreads();
    int buffer = 0;
    for (int step = first + 1; step < last; ++step) {
        k += kGemmInner;
        load(k);
        multiply(buffers + buffer);
        buffer = Tile::kBufferHalves - buffer;
        store(buffers + buffer, k);
        __syncthreads();
    }
    multiply(buffers + buffer);
    __syncthreads(); // all have read; the strips overwrite

    // Fragments give a lane two columns of a row. Through shared memory it gets eight, which are 16
    // bytes of y. A strip is (16, kGroups) packs of eight floats; pack g of row r lies at g ^ s(r),
    // so that the pairs of half a warp, and the quads of a quarter, touch all banks once.
    constexpr int kGroups = Tile::kWarpColumns / kPack, kRounds = 16 * kGroups / kWarp;
    static_assert(kGroups % 2 == 0);
    const auto pack_at = [](int strip_row, int group) {
        const int s = kGroups % 4 == 0 ? strip_row % 4 : strip_row / 2 % 2;
        return (strip_row * kGroups + (group ^ s)) * kPack;
    };
    const auto y_place = [&](int strip_index, int round) { // of this lane's pack: row, column
        const int index = lane + round * kWarp;
        return make_int2(row + warp_row + strip_index * 16 + index / kGroups,
                         column + warp_column + index % kGroups * kPack);
    };
    float* const strip = reinterpret_cast<float*>(shared) + warp * Tile::kStripFloats;
    const int g = lane / 4, t = lane % 4;
#pragma unroll
    for (int i = 0; i < kDown; ++i) {
#pragma unroll
        for (int j = 0; j < kAcross; ++j) {
            store_shared(strip + pack_at(g, j) + 2 * t, make_float2(sums[i][j][0], sums[i][j][1]));
            store_shared(strip + pack_at(g + 8, j) + 2 * t,
                         make_float2(sums[i][j][2], sums[i][j][3]));
        }
        uint4 residual[kRounds] = {}; // all rounds wait for memory once
#pragma unroll
        for (int round = 0; round < kRounds; ++round) {
            const int2 y = y_place(i, round);
            if (!operands.partial && y.x < end.rows && y.y < end.columns)
                residual[round] = load_residual(end, y.x, y.y);
        }
        __syncwarp();
#pragma unroll
        for (int round = 0; round < kRounds; ++round) {
            const int index = lane + round * kWarp;
            const int strip_row = index / kGroups, group = index % kGroups;
            const float* from = strip + pack_at(strip_row, group);
            const int half_first = index / 4 % 2; // lanes 4 apart would meet in a bank
            const float4 one = load_shared<float4>(from + 4 * half_first);
            const float4 two = load_shared<float4>(from + 4 * (1 - half_first));
            const float4 low = half_first ? two : one, high = half_first ? one : two;
            const auto [y_row, y_column] = y_place(i, round);
            if (y_row >= end.rows || y_column >= end.columns)
                continue;
            if (operands.partial) {
                const int stride = (end.columns + kPack - 1) / kPack * kPack;
                float4* y = reinterpret_cast<float4*>(
                    operands.partial +
                    (static_cast<size_t>(blockIdx.y) * end.rows + y_row) * stride + y_column);
                y[0] = low;
                y[1] = high;
            } else {
                float values[kPack] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
                end_pack(end, values, residual[round], y_row, y_column);
            }
        }
        __syncwarp(); // the strip was read
    }
}

/// The kernel for rows of x of that length.
template <class Tile>
auto gemm_kernel_for(int inner) {
    return inner % 8 == 0   ? gemm_kernel<Tile, 8>
           : inner % 4 == 0 ? gemm_kernel<Tile, 4>
                            : gemm_kernel<Tile, 1>;
}

template <class Tile>
void prepare_tile(int inner) {
    prepare(gemm_kernel_for<Tile>(inner), 0);
}

template <class Tile>
void launch_tile(const GemmOperands& operands, const GemmEnd& end, int splits, StreamRef stream) {
    const int tiles = divide_up(end.rows, Tile::kRows) * divide_up(end.columns, Tile::kColumns);
    launch(gemm_kernel_for<Tile>(operands.inner), dim3(tiles, splits), dim3(Tile::kThreads), 0,
           stream, operands, end);
}

} // namespace yeoul::cuda

// Attention on tensor cores, straight on the packed q, k, v: scores stay in registers.
//
// A warp owns 16 query rows of one head; keys and values come by tiles of 64 through shared memory,
// softmax runs along with them (Milakov and Gimelshein 2018; Dao et al. 2022).
//
// Precision. Scores, maxima, sums and y are fp32; the scale enters in fp32, behind the product,
// because a rounded q would move a score of 80 by 0.04. Weights are rounded to fp16 for the second
// product and summed as rounded, so they sum to 1: their rounding moves y by at most
// 2^-11 sum_j w_j |v_j - y|, nothing where the values agree. Summed before the rounding it would be
// 2^-11 sum_j w_j |v_j|, more wherever a channel has an offset. The last rounding adds 2^-11 |y|.
#pragma once

#include "kernels/cuda/device/mma.cuh"
#include "kernels/cuda/device/pack.cuh"
#include "kernels/cuda/device/shared.cuh"
#include "kernels/cuda/device/warp.cuh"

namespace yeoul::cuda {
namespace {

constexpr int kRows = 16;                     // query rows of a warp: those of one mma
constexpr int kGroup = 8;                     // keys, or dims, of one mma
constexpr int kMatrices = 4;                  // of one ldmatrix
constexpr int kHalfTile = kMatrices * kGroup; // keys that are skipped together
// Weights are kept times 2^10: the largest is far from 65,504 and those down to 2^-24 of it keep
// all their bits.
constexpr float kRaise = 10;
constexpr uint32_t kOnes = 0x3c003c00; // two halves of 1

constexpr int common_divisor(int a, int b) {
    return b == 0 ? a : common_divisor(b, a % b);
}

struct AttentionArguments {
    const half* qkv; // (batch, tokens, 3, heads, head_dim)
    half* y;         // (batch, tokens, heads, head_dim)
    int tokens, heads, head_dim;
    float scale; // times log2(e): exponentials are powers of two
    bool causal;
};

// A tile of rows in shared memory, each of kDim halves in packs. Packs are exchanged within a row
// so that the 8 rows of an 8x8 matrix lie in different banks, and so do 8 neighbours of a row.
template <int kDim>
struct Tile {
    static constexpr int kPacks = kDim / kPack;
    static constexpr int kPeriod = common_divisor(8, kPacks);

    half* data;

    __device__ __forceinline__ half* at(int row, int pack) const {
        const int place = pack ^ (row / (8 / kPeriod) % kPeriod);
        return data + (row * kPacks + place) * kPack;
    }
};

// kRowCount rows on their way through registers, 16 bytes a time; the threads of a block share
// them.
template <int kDim, int kRowCount, int kThreads>
struct Staged {
    static constexpr int kPacks = kDim / kPack;
    static constexpr int kSlots = (kRowCount * kPacks + kThreads - 1) / kThreads;
    uint4 slots[kSlots];

    // x: the head's part of token 0, `stride` halves from token to token. Rows past `tokens` and
    // dims past `head_dim` are zeros: their scores are masked, and 0 times their value is 0.
    __device__ __forceinline__ void load(const half* x, int first, int tokens, int head_dim,
                                         int stride) {
        x += static_cast<size_t>(first) * stride;
#pragma unroll
        for (int slot = 0; slot < kSlots; ++slot) {
            const int i = slot * kThreads + threadIdx.x;
            const int row = i / kPacks, column = i % kPacks * kPack;
            const bool there = i < kRowCount * kPacks && first + row < tokens && column < head_dim;
            // Within a tile an int suffices; 64-bit offsets of all slots would take 16 registers.
            slots[slot] = there ? *reinterpret_cast<const uint4*>(x + (row * stride + column))
                                : make_uint4(0, 0, 0, 0);
        }
    }

    __device__ __forceinline__ void store(Tile<kDim> y) const {
#pragma unroll
        for (int slot = 0; slot < kSlots; ++slot) {
            const int i = slot * kThreads + threadIdx.x;
            if (i < kRowCount * kPacks)
                store_shared(y.at(i / kPacks, i % kPacks), slots[slot]);
        }
    }
};

__device__ __forceinline__ uint32_t pack_pair(float a, float b) {
    const half2 pair = __floats2half2_rn(a, b);
    return *reinterpret_cast<const uint32_t*>(&pair);
}

// What a warp knows of its 16 rows. In registers as mma has them, lane = 4 g + t: the lane's values
// belong to row g (the first of a pair) and row g + 8.
template <int kDim, int kKeys>
struct Rows {
    uint32_t q[kDim / kGroup][2];
    float y[kDim / kGroup][4] = {};
    float sum[4] = {};             // of the weights, by mma: [0] and [2] count
    float shift[2];                // exponent of the largest score, less kRaise
    float s[kKeys / kGroup][4];    // scores
    uint32_t p[kKeys / kGroup][2]; // weights, fp16

    __device__ __forceinline__ void load_q(Tile<kDim> tile, int row) {
        const int lane = threadIdx.x % kWarp;
#pragma unroll
        for (int pair = 0; pair < (kDim / kGroup + 1) / 2; ++pair) {
            // Matrices: rows 0-7 and 8-15 of one group of dims, then of the next.
            const int last = kDim / kGroup - 1, second = 2 * pair + 1;
            uint32_t parts[kMatrices];
            ldmatrix_x4(parts,
                        tile.at(row + lane % kRows,
                                2 * pair + lane / kRows > last ? last : 2 * pair + lane / kRows));
            q[2 * pair][0] = parts[0];
            q[2 * pair][1] = parts[1];
            if (second <= last) {
                q[second][0] = parts[2];
                q[second][1] = parts[3];
            }
        }
    }

    // s = q k^T for the first `seen` keys of the tile; whole half tiles beyond stay 0.
    __device__ __forceinline__ void score(Tile<kDim> k, int seen) {
        const int lane = threadIdx.x % kWarp;
#pragma unroll
        for (int key = 0; key < kKeys; key += kHalfTile) {
#pragma unroll
            for (int j = 0; j < kMatrices; ++j)
#pragma unroll
                for (int e = 0; e < 4; ++e)
                    s[key / kGroup + j][e] = 0;
            if (key < seen) {
#pragma unroll
                for (int d = 0; d < kDim / kGroup; ++d) {
                    uint32_t parts[kMatrices];
                    ldmatrix_x4(parts, k.at(key + lane, d));
#pragma unroll
                    for (int j = 0; j < kMatrices; ++j)
                        mma_m16n8k8(s[key / kGroup + j], q[d], parts[j]);
                }
            }
        }
    }

    // The lane's rows see the first limit[0] and limit[1] keys of the tile.
    __device__ __forceinline__ void mask(const int (&limit)[2]) {
        const int t = threadIdx.x % 4;
#pragma unroll
        for (int n = 0; n < kKeys / kGroup; ++n)
#pragma unroll
            for (int e = 0; e < 4; ++e)
                if (n * kGroup + 2 * t + e % 2 >= limit[e / 2])
                    s[n][e] = -INFINITY;
    }

    // Scores become weights; what was summed so far is brought to the new maximum. Every row sees
    // the first key of the first tile, so the maximum is finite unless an input is not. A logit
    // above 2^26 would lose the raise in rounding; fp16 q and k of thousands would be needed.
    __device__ __forceinline__ void weigh(float scale, bool first_tile) {
#pragma unroll
        for (int r = 0; r < 2; ++r) {
            float largest = s[0][2 * r];
#pragma unroll
            for (int n = 0; n < kKeys / kGroup; ++n)
                largest = fmaxf(largest, fmaxf(s[n][2 * r], s[n][2 * r + 1]));
            largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
            largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 2));
            float now = largest * scale - kRaise;
            if (!first_tile) {
                now = fmaxf(now, shift[r]);
                const float factor = exp2f(shift[r] - now);
                sum[2 * r] *= factor;
#pragma unroll
                for (int n = 0; n < kDim / kGroup; ++n) {
                    y[n][2 * r] *= factor;
                    y[n][2 * r + 1] *= factor;
                }
            }
            shift[r] = now;
#pragma unroll
            for (int n = 0; n < kKeys / kGroup; ++n)
                p[n][r] = pack_pair(exp2f(fmaf(s[n][2 * r], scale, -now)),
                                    exp2f(fmaf(s[n][2 * r + 1], scale, -now)));
        }
    }

    // y += p v and sum += p, over the keys that `score` saw.
    __device__ __forceinline__ void mix(Tile<kDim> v, int seen) {
        const int lane = threadIdx.x % kWarp;
#pragma unroll
        for (int key = 0; key < kKeys; key += kHalfTile) {
            if (key < seen) {
#pragma unroll
                for (int d = 0; d < kDim / kGroup; ++d) {
                    uint32_t parts[kMatrices];
                    ldmatrix_x4_trans(parts, v.at(key + lane, d));
#pragma unroll
                    for (int j = 0; j < kMatrices; ++j)
                        mma_m16n8k8(y[d], p[key / kGroup + j], parts[j]);
                }
#pragma unroll
                for (int j = 0; j < kMatrices; ++j)
                    mma_m16n8k8(sum, p[key / kGroup + j], kOnes);
            }
        }
    }

    // To rows `row`.. of a tile.
    __device__ __forceinline__ void store(Tile<kDim> tile, int row) const {
        const int g = threadIdx.x % kWarp / 4, t = threadIdx.x % 4;
#pragma unroll
        for (int r = 0; r < 2; ++r) {
            const float inverse = 1.0f / sum[2 * r];
#pragma unroll
            for (int n = 0; n < kDim / kGroup; ++n)
                store_shared(tile.at(row + g + 8 * r, n) + 2 * t,
                             pack_pair(y[n][2 * r] * inverse, y[n][2 * r + 1] * inverse));
        }
    }
};

// The blocks of an SM of sm_75 that registers are bounded for: what long heads allow without a
// spill. Shared memory holds as many: two tiles of at most 12 KB each.
constexpr int blocks_per_sm(int dim, int warps) {
    return warps == 2 ? 4 : dim <= 72 ? 3 : 2;
}

// A block owns kWarps * 16 query rows of one head of one photo, a warp 16 of them. Tiles of keys
// are as large, so that q and y can pass through their place.
//
// Two tiles lie in shared memory, k and v; the next one is on its way in registers meanwhile. Each
// tile has one barrier between its last reader and its next writer and one between writer and
// reader: `k` is written before "k is there" and read until "v is there", `v` is written before "v
// is there" and read until "k is there" of the next round. q passes through v's place before the
// loop, y through k's behind it, where nobody reads k after the last "v is there"; a warp reads
// back only what it wrote.
template <int kDim, int kWarps>
__global__ void __launch_bounds__(kWarps* kWarp, blocks_per_sm(kDim, kWarps))
    attention_kernel(const AttentionArguments a) {
    constexpr int kThreads = kWarps * kWarp, kKeys = kWarps * kRows;
    YEOUL_DYNAMIC_SHARED(half, shared);
    const Tile<kDim> k{shared}, v{shared + kKeys * kDim};

    const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
    const int first = blockIdx.x * kWarps * kRows, row = first + warp * kRows;
    const int dim = a.heads * a.head_dim, stride = 3 * dim;
    const half* x = a.qkv + static_cast<size_t>(blockIdx.z) * a.tokens * stride +
                    static_cast<size_t>(blockIdx.y) * a.head_dim;
    const auto seen_by = [&](int token) { return a.causal ? min(token + 1, a.tokens) : a.tokens; };
    const int block_seen = seen_by(first + kKeys - 1);
    // A warp behind the last token only helps to load.
    const int warp_seen = row < a.tokens ? seen_by(row + kRows - 1) : 0;

    Rows<kDim, kKeys> rows;
    Staged<kDim, kKeys, kThreads> staged;
    {
        Staged<kDim, kKeys, kThreads> q;
        q.load(x, first, a.tokens, a.head_dim, stride);
        staged.load(x + dim, 0, block_seen, a.head_dim, stride);
        q.store(v);
    }
    staged.store(k);
    staged.load(x + 2 * dim, 0, block_seen, a.head_dim, stride);
    __syncthreads(); // q and the first k are there
    rows.load_q(v, warp * kRows);
    __syncthreads(); // q was read

    for (int key = 0; key < block_seen; key += kKeys) {
        const int seen = warp_seen - key;
        if (seen > 0) {
            rows.score(k, seen);
            if (seen_by(row) - key < kKeys) { // the first row sees the fewest
                const int g = lane / 4;
                const int limit[2] = {seen_by(row + g) - key, seen_by(row + g + 8) - key};
                rows.mask(limit);
            }
            rows.weigh(a.scale, key == 0);
        }
        staged.store(v);
        __syncthreads(); // v is there, k was read
        const bool more = key + kKeys < block_seen;
        if (more)
            staged.load(x + dim, key + kKeys, block_seen, a.head_dim, stride);
        if (seen > 0)
            rows.mix(v, seen);
        if (more) {
            staged.store(k);
            __syncthreads(); // k is there, v was read
            staged.load(x + 2 * dim, key + kKeys, block_seen, a.head_dim, stride);
        }
    }

    if (warp_seen == 0)
        return;
    rows.store(k, warp * kRows);
    __syncwarp();
    half* y = a.y + (static_cast<size_t>(blockIdx.z) * a.tokens + row) * dim +
              static_cast<size_t>(blockIdx.y) * a.head_dim;
    constexpr int kPacks = kDim / kPack;
#pragma unroll
    for (int i = lane; i < kRows * kPacks; i += kWarp) {
        const int r = i / kPacks, column = i % kPacks * kPack;
        if (row + r < a.tokens && column < a.head_dim)
            *reinterpret_cast<uint4*>(y + static_cast<size_t>(r) * dim + column) =
                load_shared<uint4>(k.at(warp * kRows + r, i % kPacks));
    }
}

} // namespace
} // namespace yeoul::cuda

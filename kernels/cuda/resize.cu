// Pillow's resize of many photos at once, a block for each tile of 16 x 32 output pixels.
//
// A tile streams over its source in chunks that fit into 12 KB of shared memory, so neither shared
// memory nor registers grow with the photo. Horizontal pass first: a chunk is some source rows of
// the tile's span; its horizontal sums become 8-bit pixels in shared memory, and the vertical sums
// stay in registers. Vertical pass first: a chunk is the tile's 16 rows after the vertical pass,
// over some columns; the horizontal sums stay in registers. Integer sums are exact in any order.
//
// The horizontal sum takes four pixels of a channel per __dp4a. A weight is three signed bytes, so
// 3 dp4a do 4 multiply-adds, where plain ones need 4 and take every byte out of its word first.
//
// Work, bicubic to 224 (shortest edge, centre crop), computed from the tables that the engine
// makes. Tiles overlap by three scales in height and width, and groups of four pixels by their
// edges:
//   photo         read by    loaded by   dp4a over      DRAM at    dp4a at    PCIe at
//                 the crop   all tiles   3/4 per MAC    240 GB/s   the roof   9.7 GB/s
//   1152 x 864      2.3 MB     x 1.29      x 1.40         10 us       4 us      0.2 ms
//   1920 x 1280     5.0 MB     x 1.28      x 1.32         21 us       7 us      0.5 ms
//   4032 x 3024    27.9 MB     x 1.27      x 1.24        116 us      37 us      2.9 ms
//   11547 x 8660    228 MB     x 1.27      x 1.20        952 us     267 us     23.6 ms
// dp4a at 64 per clock of each of 40 SMs, 1.2 GHz, with the idle lanes of the warps counted. With
// every other instruction, 4,300 to 6,000 warp instructions per chunk as compiled for sm_75, and
// two issued per clock, a T4 should take about 25, 40, 190 and 1,600 us: an estimate, not measured.
// Tiles of 8 rows would load x 1.5; of 32 rows x 1.17, but leave one photo 49 blocks.
// Vertical pass first (photos over twice as high as wide) has plain multiply-adds in that pass.
//
// Latency hides behind the four blocks (1,024 threads) that fill an SM. All photos have the same
// tiles, so a large one has long blocks, not more of them: tasks come largest first, and even one
// alone has 98 blocks for the 40 SMs.
#include "kernels/checks.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/shared.cuh"
#include "kernels/cuda/device/warp.cuh"
#include "kernels/cuda/ops.h"

namespace yeoul::cuda {
namespace {

constexpr int kTileRows = 16;       // for bicubic the overlap costs 3 / 16 more of the first pass
constexpr int kTileColumns = kWarp; // a lane owns a column
constexpr int kResizeWarps = kTileRows / 2; // a warp owns two rows
constexpr int kResizeThreads = kResizeWarps * kWarp;
constexpr int kGroups = 1024;   // of four pixels in shared memory, three words each
constexpr int kShortest = 6;    // log2 of the groups of a staged row: 16 rows of 64
constexpr int kMostSplits = 3;  // log2: up to 2 rows of 512, and eight warps share a row's taps
constexpr int kWeightBits = 22; // Pillow's PRECISION_BITS for 8-bit channels
constexpr uint32_t kHalf = 1u << (kWeightBits - 1);
constexpr uint32_t kSigned = 0x80808080u; // XOR of it takes 128 from each of four u8

static_assert(kTileRows << kShortest == kGroups);
static_assert(kGroups % kResizeThreads == 0);
static_assert(3 * kTileRows * kTileColumns <= 3 * kGroups, "partial sums lie in `staged`");

struct Pixels { // four of them: bytes R0 G0 B0 R1, G1 B1 R2 G2, B2 R3 G3 B3
    uint32_t word[3];
};

/// A row of a source rectangle, whose bytes begin anywhere.
struct SourceRow {
    const uint32_t* words;
    int shift; // bits before the first byte
    int last;  // the last word that holds a byte of the row

    __device__ SourceRow(const uint32_t* source, uint64_t offset, int columns)
        : words(source + offset / 4), shift(static_cast<int>(offset % 4) * 8),
          last((shift / 8 + 3 * columns - 1) / 4) {}

    /// Beyond the row's last pixel come bytes of that word again: their weights are zero.
    __device__ Pixels group(int index) const {
        uint32_t raw[4];
#pragma unroll
        for (int i = 0; i < 4; ++i)
            raw[i] = words[min(3 * index + i, last)];
        Pixels pixels;
#pragma unroll
        for (int i = 0; i < 3; ++i)
            pixels.word[i] = __funnelshift_r(raw[i], raw[i + 1], shift);
        return pixels;
    }
};

/// Writes them as signed bytes, a word for each channel.
__device__ __forceinline__ void stage(const Pixels& pixels, uint32_t* y, int stride) {
    const uint32_t(&p)[3] = pixels.word;
    y[0] = __byte_perm(__byte_perm(p[0], p[1], 0x0630), p[2], 0x5210) ^ kSigned;
    y[stride] = __byte_perm(__byte_perm(p[0], p[1], 0x0741), p[2], 0x6210) ^ kSigned;
    y[2 * stride] = __byte_perm(__byte_perm(p[0], p[1], 0x0052), p[2], 0x7410) ^ kSigned;
}

__device__ __forceinline__ uint32_t round_to_pixel(uint32_t sum) {
    return static_cast<uint32_t>(min(max(static_cast<int32_t>(sum) >> kWeightBits, 0), 255));
}

struct Horizontal {
    const int32_t *first, *count, *bias;
    const uint32_t* weights;
    __device__ Horizontal(const int32_t* table, int width)
        : first(table), count(table + width), bias(table + 2 * static_cast<size_t>(width)),
          weights(reinterpret_cast<const uint32_t*>(table + 3 * static_cast<size_t>(width))) {}
};

struct Vertical {
    const int32_t *begin, *size, *weights;
    __device__ Vertical(const int32_t* table, int height)
        : begin(table), size(table + height), weights(table + 2 * static_cast<size_t>(height)) {}
};

/// A lane's output column: which groups it reads.
struct Column {
    const uint32_t* weights; // of group `first`
    int first = 0, end = 0;
    uint32_t bias = 0;
};

/// Adds to the sums of two staged rows groups [begin, begin + groups), every `step`th from `offset`
/// of those that the column reads.
__device__ __forceinline__ void add_groups(const uint32_t* rows, int stride, int begin, int groups,
                                           const Column& column, int width, int offset, int step,
                                           uint32_t (&sums)[2][3]) {
    int32_t parts[2][3][3] = {}; // of each byte of the weights
    const int end = min(column.end, begin + groups);
    for (int group = max(column.first, begin) + offset; group < end; group += step) {
        const uint32_t* weights =
            column.weights + static_cast<size_t>(group - column.first) * 3 * width;
        int32_t weight[3];
#pragma unroll
        for (int byte = 0; byte < 3; ++byte)
            weight[byte] = static_cast<int32_t>(weights[byte * width]);
        const uint32_t* pixels = rows + (group - begin);
#pragma unroll
        for (int row = 0; row < 2; ++row)
#pragma unroll
            for (int channel = 0; channel < 3; ++channel) {
                const auto pixel = static_cast<int32_t>(pixels[(3 * row + channel) * stride]);
#pragma unroll
                for (int byte = 0; byte < 3; ++byte)
                    parts[row][channel][byte] =
                        __dp4a(pixel, weight[byte], parts[row][channel][byte]);
            }
    }
#pragma unroll
    for (int row = 0; row < 2; ++row)
#pragma unroll
        for (int channel = 0; channel < 3; ++channel)
            sums[row][channel] += (static_cast<uint32_t>(parts[row][channel][0]) << 16) +
                                  (static_cast<uint32_t>(parts[row][channel][1]) << 8) +
                                  static_cast<uint32_t>(parts[row][channel][2]);
}

/// Four pixels of one output row after the vertical pass.
__device__ __forceinline__ Pixels filtered(const uint32_t* source, const ResizeTask& task,
                                           const Vertical& axis, int row, int group) {
    uint32_t sums[12];
#pragma unroll
    for (uint32_t& sum : sums)
        sum = kHalf;
    const int begin = axis.begin[row], size = axis.size[row];
    const int32_t* weights = axis.weights + static_cast<size_t>(row) * task.taps;
    for (int tap = 0; tap < size; ++tap) {
        const auto weight = static_cast<uint32_t>(weights[tap]);
        const Pixels pixels =
            SourceRow(source, task.source + static_cast<uint64_t>(begin + tap) * task.pitch,
                      task.columns)
                .group(group);
#pragma unroll
        for (int i = 0; i < 12; ++i)
            sums[i] += (pixels.word[i / 4] >> (i % 4 * 8) & 255) * weight;
    }
    Pixels y{};
#pragma unroll
    for (int i = 0; i < 12; ++i)
        y.word[i / 4] |= round_to_pixel(sums[i]) << (i % 4 * 8);
    return y;
}

/// What a tile reads: output rows and columns of the photo's part of the slot, and the source.
struct Span {
    int first_row, end_row;     // source rows
    int first_group, end_group; // of each
};

// Block: one tile of one task. Warp w owns the tile's rows 2 w and 2 w + 1, lane l its column l;
// `pixels` is what they become. All loops that hold a barrier have bounds of the block.

/// Rows after the vertical pass go to `staged`, [16][3][64].
__device__ __forceinline__ void vertical_first(const uint32_t* source, const ResizeTask& task,
                                               const Vertical& axis, const Span& span, int tile_row,
                                               const Column& column, uint32_t* staged,
                                               uint32_t (&pixels)[2][3]) {
    constexpr int kStride = 1 << kShortest;
    const int warp = threadIdx.x / kWarp;
    uint32_t sums[2][3] = {};
    for (int begin = span.first_group; begin < span.end_group; begin += kStride) {
        const int groups = min(kStride, span.end_group - begin);
        for (int i = threadIdx.x; i < kGroups; i += kResizeThreads) {
            const int row = i / kStride, group = i % kStride, output = tile_row + row - task.top;
            if (group < groups && output >= 0 && output < task.height)
                stage(filtered(source, task, axis, output, begin + group),
                      staged + 3 * row * kStride + group, kStride);
        }
        __syncthreads(); // `staged` is written
        add_groups(staged + 6 * warp * kStride, kStride, begin, groups, column, task.width, 0, 1,
                   sums);
        __syncthreads(); // and read
    }
#pragma unroll
    for (int row = 0; row < 2; ++row)
#pragma unroll
        for (int channel = 0; channel < 3; ++channel)
            pixels[row][channel] = round_to_pixel(sums[row][channel] + column.bias);
}

/// Source rows go to `staged`, [rows][3][stride]. The wider the tile's span, the longer and fewer
/// the rows: a pair of them is then shared by 2, 4 or 8 warps, each with every 2nd, 4th or 8th
/// group of a column, whose sums meet in `staged`. What the horizontal pass gives is `middle`.
__device__ __forceinline__ void
horizontal_first(const uint32_t* source, const ResizeTask& task, const Vertical& axis,
                 const Span& span, int tile_row, const Column& column, uint32_t* staged,
                 uint8_t (&middle)[kTileRows][3][kTileColumns], uint32_t (&pixels)[2][3]) {
    const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
    int splits = 0; // log2
    while (splits < kMostSplits && span.end_group - span.first_group > 1 << (kShortest + splits))
        ++splits;
    const int stride = 1 << (kShortest + splits), rows = kTileRows >> splits;
    const int pair = warp >> splits, split = warp & ((1 << splits) - 1);

#pragma unroll
    for (auto& pixel : pixels)
#pragma unroll
        for (uint32_t& value : pixel)
            value = kHalf;
    for (int chunk = span.first_row; chunk < span.end_row; chunk += rows) {
        const int chunk_end = min(chunk + rows, span.end_row);
        uint32_t sums[2][3] = {};
        for (int from = span.first_group; from < span.end_group; from += stride) {
            const int groups = min(stride, span.end_group - from);
#pragma unroll
            for (int i = threadIdx.x; i < kGroups; i += kResizeThreads) {
                const int row = i >> (kShortest + splits), group = i & (stride - 1);
                if (group < groups && chunk + row < chunk_end) {
                    const uint64_t offset =
                        task.source + static_cast<uint64_t>(chunk + row) * task.pitch;
                    stage(SourceRow(source, offset, task.columns).group(from + group),
                          staged + 3 * row * stride + group, stride);
                }
            }
            __syncthreads(); // `staged` is written
            if (chunk + 2 * pair < chunk_end)
                add_groups(staged + 6 * pair * stride, stride, from, groups, column, task.width,
                           split, 1 << splits, sums);
            __syncthreads(); // and read
        }

        if (splits == 0) {
#pragma unroll
            for (int row = 0; row < 2; ++row)
#pragma unroll
                for (int channel = 0; channel < 3; ++channel)
                    middle[2 * warp + row][channel][lane] =
                        static_cast<uint8_t>(round_to_pixel(sums[row][channel] + column.bias));
        } else {
            // staged[split][row][channel][column]
#pragma unroll
            for (int row = 0; row < 2; ++row)
#pragma unroll
                for (int channel = 0; channel < 3; ++channel)
                    staged[((split * rows + 2 * pair + row) * 3 + channel) * kTileColumns + lane] =
                        sums[row][channel];
            __syncthreads(); // the partial sums are written
            for (int i = warp; i < 3 * rows; i += kResizeWarps) {
                uint32_t sum = column.bias;
                for (int part = 0; part < 1 << splits; ++part)
                    sum += staged[(part * 3 * rows + i) * kTileColumns + lane];
                middle[i / 3][i % 3][lane] = static_cast<uint8_t>(round_to_pixel(sum));
            }
        }
        __syncthreads(); // `middle` is written, the partial sums are read

#pragma unroll
        for (int i = 0; i < 2; ++i) {
            // Read again for each chunk: kept, they would not fit the 64 registers.
            const int output = tile_row + 2 * warp + i - task.top;
            if (output < 0 || output >= task.height)
                continue;
            const int begin = axis.begin[output];
            const int last = min(begin + axis.size[output], chunk_end);
            const int32_t* weights = axis.weights + static_cast<size_t>(output) * task.taps;
            for (int row = max(begin, chunk); row < last; ++row) {
                const auto weight = static_cast<uint32_t>(weights[row - begin]);
#pragma unroll
                for (int channel = 0; channel < 3; ++channel)
                    pixels[i][channel] += middle[row - chunk][channel][lane] * weight;
            }
        }
        // The next chunk writes `middle` only after barriers that every reader has to reach.
    }
#pragma unroll
    for (auto& pixel : pixels)
#pragma unroll
        for (uint32_t& value : pixel)
            value = round_to_pixel(value);
}

// grid (tiles of a slot, tasks)
__global__ void __launch_bounds__(kResizeThreads, 4)
    resize_kernel(const uint32_t* source,  // (bytes / 4)
                  const ResizeTask* tasks, // (gridDim.y), then their tables
                  uint8_t* slots,          // (slot_count, height, width, 3)
                  int slot_count, int height, int width) {
    YEOUL_SHARED(uint32_t, staged, [3 * kGroups]);
    YEOUL_SHARED(uint8_t, middle, [kTileRows][3][kTileColumns]);
    const ResizeTask& task = tasks[blockIdx.y];
    if (task.slot < 0 || task.slot >= slot_count)
        return;
    const int tiles = (width + kTileColumns - 1) / kTileColumns;
    const int tile_row = static_cast<int>(blockIdx.x) / tiles * kTileRows;
    const int tile_column = static_cast<int>(blockIdx.x) % tiles * kTileColumns;
    const int x = tile_column + static_cast<int>(threadIdx.x) % kWarp;

    uint32_t pixels[2][3] = {};
    const int first_output = max(tile_row - task.top, 0);
    const int last_output = min(tile_row + kTileRows - task.top, task.height) - 1;
    const int first_column = max(tile_column - task.left, 0);
    const int last_column = min(tile_column + kTileColumns - task.left, task.width) - 1;
    if (first_output <= last_output && first_column <= last_column) {
        const auto* table = reinterpret_cast<const int32_t*>(tasks);
        const Horizontal horizontal(table + task.horizontal, task.width);
        const Vertical vertical(table + task.vertical, task.height);
        const Span span{
            vertical.begin[first_output],
            vertical.begin[last_output] + vertical.size[last_output],
            horizontal.first[first_column],
            horizontal.first[last_column] + horizontal.count[last_column],
        };
        Column column{horizontal.weights};
        if (const int i = x - task.left; i >= 0 && i < task.width) {
            column.weights += i;
            column.first = horizontal.first[i];
            column.end = column.first + horizontal.count[i];
            column.bias = static_cast<uint32_t>(horizontal.bias[i]);
        }
        if (task.vertical_first != 0)
            vertical_first(source, task, vertical, span, tile_row, column, staged, pixels);
        else
            horizontal_first(source, task, vertical, span, tile_row, column, staged, middle,
                             pixels);
    }

    const bool column_inside = x >= task.left && x < task.left + task.width;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        const int y = tile_row + 2 * (static_cast<int>(threadIdx.x) / kWarp) + i;
        if (y >= height || x >= width)
            continue;
        const bool inside = column_inside && y >= task.top && y < task.top + task.height;
        uint8_t* pixel = slots + ((static_cast<size_t>(task.slot) * height + y) * width + x) * 3;
#pragma unroll
        for (int channel = 0; channel < 3; ++channel)
            pixel[channel] = static_cast<uint8_t>(inside ? pixels[i][channel] : 0);
    }
}

class CudaResize final : public Resize {
public:
    explicit CudaResize(const ResizeDesc& desc) : desc_(desc) { prepare(resize_kernel, 0); }

    void operator()(const View& source, const View& table, int count, const View& slots,
                    StreamRef stream) override {
        YEOUL_REQUIRE(count >= 0 && count <= desc_.tasks,
                      "resize: " << count << " tasks, must be 0 to " << desc_.tasks);
        require_activation("resize", "slots", slots, DType::u8, leading(slots),
                           {desc_.height, desc_.width, 3});
        require_positive("resize", "the number of slots", leading(slots));
        require_bytes("source", source);
        require_bytes("table", table);
        require_aligned("resize", "source", source, sizeof(uint32_t));
        require_aligned("resize", "table", table, alignof(ResizeTask));
        YEOUL_REQUIRE(source.bytes() % sizeof(uint32_t) == 0,
                      "resize: source has " << source.bytes() << " bytes, must be a multiple of "
                                            << sizeof(uint32_t));
        YEOUL_REQUIRE(table.bytes() >= count * sizeof(ResizeTask),
                      "resize: table has " << table.bytes() << " bytes, " << count << " tasks take "
                                           << count * sizeof(ResizeTask));
        require_apart("resize", "slots", slots, "source", source);
        require_apart("resize", "slots", slots, "table", table);
        if (count == 0)
            return;
        launch(resize_kernel, dim3(tiles(), count), dim3(kResizeThreads), 0, stream,
               source.as<const uint32_t>(), table.as<const ResizeTask>(), slots.as<uint8_t>(),
               slots.shape[0], desc_.height, desc_.width);
    }

    std::string kernel(int count) const override {
        return "16x32 tiles, dp4a, " + std::to_string(tiles()) + " x " + std::to_string(count) +
               " blocks";
    }

private:
    static void require_bytes(const char* what, const View& view) {
        YEOUL_REQUIRE(view.dtype == DType::u8 && view.rank == 1 && view.shape[0] >= 0,
                      "resize: " << what << " is " << view.to_string()
                                 << ", must be (bytes) uint8");
        YEOUL_REQUIRE(view.data != nullptr, "resize: " << what << " has no data");
    }

    int tiles() const {
        return (desc_.height + kTileRows - 1) / kTileRows *
               ((desc_.width + kTileColumns - 1) / kTileColumns);
    }

    ResizeDesc desc_;
};

} // namespace

std::unique_ptr<Resize> make_resize(const Context&, const ResizeDesc& desc) {
    constexpr int kMostTasks = 65535;     // of gridDim.y
    constexpr int kLongestSide = 1 << 15; // keeps the number of tiles in an int
    require_positive("resize", "height", desc.height);
    require_positive("resize", "width", desc.width);
    YEOUL_REQUIRE(desc.height <= kLongestSide && desc.width <= kLongestSide,
                  "resize: slots of " << desc.height << "x" << desc.width
                                      << ", sides must be up to " << kLongestSide);
    YEOUL_REQUIRE(desc.tasks >= 1 && desc.tasks <= kMostTasks,
                  "resize: " << desc.tasks << " tasks, must be 1 to " << kMostTasks);
    return std::make_unique<CudaResize>(desc);
}

} // namespace yeoul::cuda

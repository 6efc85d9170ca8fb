// Patches of normalized photos. A block makes some neighbouring patches of one patch row: their
// bytes are `patch` rows of the photo, and the values lie in y one behind the other. The bytes go
// through shared memory, because y wants three planes of what the photo has as one: read 16 bytes
// at a time along rows, written 16 bytes at a time along y, both in full sectors.
//
// Memory moves batch * height * width * 3 * (1 + 2) bytes, the least there is; designed for 85 % of
// a T4's copy rate from batch 4 on (120 us for 64 photos of 224x224 at 240 GB/s). In shared memory
// a value costs two reads, a byte and its table entry, a quarter of that time.
//
// The table is in shared memory, as fp16: constant memory serves one address at a time, and the
// lanes of a warp look up 32. Each value is rounded once, on the host.
#include <algorithm>

#include "kernels/checks.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/shared.cuh"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/weights.h"

namespace yeoul::cuda {
namespace {

constexpr int kPatchesThreads = 256;
constexpr int kVector = 16;          // bytes of a global access
constexpr int kValues = kVector / 2; // halves in it
constexpr int kTableValues = 3 * 256;
constexpr int kTableBytes = kTableValues * 2;
constexpr int kTileBytes = 12 << 10;   // with the table 4 blocks fit the 64 KB of an sm_75 SM
constexpr int kStagedBytes = 46 << 10; // what a tile of one large patch may take without opting in

struct PatchesArgs {
    const uint8_t* slots; // (slots, height, width, 3)
    const int32_t* index; // (batch)
    const half* table;    // (3, 256)
    half* y;              // (batch, down, across, 3, patch, patch)
    int slot_count, height, width, patch;
    int group;  // patches of a block
    int groups; // blocks of a patch row
    int down;   // patch rows of a photo
};

// A row of a tile in shared memory keeps its distance from a 16-byte boundary, so that vectors go
// from one to the other as they are.
__host__ __device__ constexpr int staged_pitch(int group, int patch) {
    return (group * patch * 3 + kVector - 1 + kVector - 1) / kVector * kVector;
}
__device__ __forceinline__ int beyond_boundary(const void* x) {
    return static_cast<int>(reinterpret_cast<uintptr_t>(x) % kVector);
}

// rows x `bytes` bytes at x, rows `pitch` apart, into `staged`, rows `to_pitch` apart.
__device__ __forceinline__ void stage(const uint8_t* x, int pitch, int rows, int bytes,
                                      uint8_t* staged, int to_pitch) {
    const int vectors = to_pitch / kVector;
    for (int i = threadIdx.x; i < rows * vectors; i += kPatchesThreads) {
        const int row = i / vectors;
        const uint8_t* from = x + row * pitch;
        const int lead = beyond_boundary(from);
        // The vector's bytes are `first` to `first + 16` of the row; some may be outside of it.
        const int first = (i - row * vectors) * kVector - lead;
        uint8_t* to = staged + row * to_pitch + lead + first;
        if (first >= 0 && first + kVector <= bytes) {
            store_shared(to, *reinterpret_cast<const uint4*>(from + first));
        } else {
            for (int j = max(0, -first); j < kVector && first + j < bytes; ++j)
                to[j] = from[first + j];
        }
    }
}

// Walks through the values of a tile in the order of y, which is (patch, channel, row, column).
struct Cursor {
    int patch, channel, row, column;
    __device__ __forceinline__ Cursor(int value, int side) {
        column = value % side;
        value /= side;
        row = value % side;
        value /= side;
        channel = value % 3;
        patch = value / 3;
    }
    // Whether the next value begins another row of pixels.
    __device__ __forceinline__ bool advance(int side) {
        if (++column < side)
            return false;
        column = 0;
        if (++row == side) {
            row = 0;
            if (++channel == 3) {
                channel = 0;
                ++patch;
            }
        }
        return true;
    }
};

// A block owns `group` patches: first all threads stage the bytes and the table, then each thread
// owns whole 16-byte vectors of y. One barrier, since nothing is staged twice. Patches too large
// for shared memory are read from global memory, byte by byte, through L1.
template <bool kStaged>
__global__ void __launch_bounds__(kPatchesThreads) cut_patches(PatchesArgs a) {
    YEOUL_SHARED(half, table, [kTableValues]);
    YEOUL_DYNAMIC_SHARED(uint8_t, staged);
    int block = blockIdx.x;
    const int first_patch = block % a.groups * a.group;
    block /= a.groups;
    const int top = block % a.down * a.patch;
    const int photo = block / a.down;
    const int across = a.width / a.patch;
    const int patches = min(a.group, across - first_patch);
    const int side = a.patch, count = patches * 3 * side * side;
    const int slot = a.index[photo];
    const bool valid = slot >= 0 && slot < a.slot_count;

    const int pitch = a.width * 3;
    const size_t photo_values = static_cast<size_t>(a.height) * pitch; // and bytes of a slot
    const uint8_t* x = a.slots + (valid ? slot : 0) * photo_values +
                       static_cast<size_t>(top) * pitch +
                       static_cast<size_t>(first_patch) * side * 3;
    const int to_pitch = staged_pitch(a.group, side);
    if (valid) {
        for (int i = threadIdx.x; i < kTableBytes / kVector; i += kPatchesThreads)
            store_shared(table + i * kValues, reinterpret_cast<const uint4*>(a.table)[i]);
        if constexpr (kStaged)
            stage(x, pitch, side, patches * side * 3, staged, to_pitch);
    }
    __syncthreads();

    half* y = a.y + photo * photo_values +
              (static_cast<size_t>(top / side) * across + first_patch) * 3 * side * side;
    const uint8_t* pixels = kStaged ? staged : x;
    const int x_lead = beyond_boundary(x);
    const auto offset = [&](const Cursor& at) {
        const int column = (at.patch * side + at.column) * 3 + at.channel;
        if constexpr (kStaged)
            return at.row * to_pitch + (x_lead + at.row * pitch) % kVector + column;
        return at.row * pitch + column;
    };
    const int lead = beyond_boundary(y) / 2;
    for (int first = threadIdx.x * kValues - lead; first < count;
         first += kPatchesThreads * kValues) {
        const int begin = max(first, 0), end = min(first + kValues, count);
        alignas(kVector) half values[kValues];
        if (valid) {
            Cursor at(begin, side);
            int pixel = offset(at); // below 2^30: a patch row has no more bytes
#pragma unroll
            for (int i = 0; i < kValues; ++i) {
                if (first + i < begin || first + i >= end)
                    continue;
                values[i] = table[at.channel * 256 + pixels[pixel]];
                pixel += 3;
                if (at.advance(side))
                    pixel = offset(at);
            }
        } else {
#pragma unroll
            for (int i = 0; i < kValues; ++i)
                values[i] = __float2half_rn(0);
        }
        if (end - begin == kValues) {
            // From y + first, which by its type is not aligned, came four stores of 4 bytes.
            reinterpret_cast<uint4*>(y - lead)[(first + lead) / kValues] =
                *reinterpret_cast<const uint4*>(values);
        } else {
#pragma unroll
            for (int i = 0; i < kValues; ++i)
                if (first + i >= begin && first + i < end)
                    y[first + i] = values[i];
        }
    }
}

DeviceWeights upload_table(const Context& context, const PatchesDesc& desc) {
    return upload(context, kTableBytes, [&](void* staging) {
        auto* y = static_cast<uint16_t*>(staging);
        for (const auto& channel : desc.table)
            for (float value : channel)
                *y++ = to_fp16(value);
    });
}

class CudaPatches final : public Patches {
public:
    CudaPatches(const Context& context, const PatchesDesc& desc)
        : height_(desc.height), width_(desc.width), patch_(desc.patch),
          down_(desc.height / desc.patch), across_(desc.width / desc.patch),
          batches_("patches", desc.batches), sm_count_(context.sm_count),
          table_(upload_table(context, desc)),
          staged_(int64_t{desc.patch} * desc.patch * 3 <= kStagedBytes &&
                  patch_ * staged_pitch(1, patch_) <= kStagedBytes) {
        if (staged_)
            prepare(cut_patches<true>, 0);
        else
            prepare(cut_patches<false>, 0);
        total_rows("patches", total_rows("patches", batches_.largest(), down_), across_);
        YEOUL_REQUIRE(int64_t{3} * width_ * patch_ <= 1 << 30, "patches: a row of patches of "
                                                                   << patch_ << " in a width of "
                                                                   << width_ << " is too large");
    }

    void operator()(const View& slots, const View& index, const View& y,
                    StreamRef stream) override {
        const int batch = leading(y), count = leading(slots);
        batches_.index(batch);
        YEOUL_REQUIRE(count >= 1,
                      "patches: slots is " << slots.to_string() << ", must have at least one slot");
        require_activation("patches", "slots", slots, DType::u8, count, {height_, width_, 3});
        require_activation("patches", "index", index, DType::i32, batch, {});
        require_activation("patches", "y", y, DType::f16, batch,
                           {down_ * across_, 3 * patch_ * patch_});
        require_aligned("patches", "index", index, sizeof(int32_t));
        require_aligned("patches", "y", y, kVector);
        require_apart("patches", "slots", slots, "y", y);
        require_apart("patches", "index", index, "y", y);
        const int group = group_for(batch), groups = (across_ + group - 1) / group;
        const PatchesArgs args{.slots = slots.as<const uint8_t>(),
                               .index = index.as<const int32_t>(),
                               .table = table_.as<half>(),
                               .y = y.as<half>(),
                               .slot_count = count,
                               .height = height_,
                               .width = width_,
                               .patch = patch_,
                               .group = group,
                               .groups = groups,
                               .down = down_};
        const size_t smem_bytes =
            staged_ ? static_cast<size_t>(patch_) * staged_pitch(group, patch_) : 0;
        launch(staged_ ? cut_patches<true> : cut_patches<false>, dim3(batch * down_ * groups),
               dim3(kPatchesThreads), smem_bytes, stream, args);
    }

    size_t weight_bytes() const override { return table_.bytes(); }
    std::string kernel(int batch) const override {
        batches_.index(batch);
        return std::string(staged_ ? "staged" : "direct") + ", " +
               std::to_string(group_for(batch)) + " patches a block";
    }

private:
    // As many as fill a tile, but at least two blocks for each SM where there are as many patches.
    int group_for(int batch) const {
        if (!staged_)
            return 1;
        int group = std::clamp(kTileBytes / (3 * patch_ * patch_), 1, across_);
        while (group > 1 &&
               int64_t{batch} * down_ * ((across_ + group - 1) / group) < 2 * sm_count_)
            group = (group + 1) / 2;
        return group;
    }

    int height_, width_, patch_, down_, across_;
    Batches batches_;
    int sm_count_;
    DeviceWeights table_;
    bool staged_;
};

} // namespace

std::unique_ptr<Patches> make_patches(const Context& context, const PatchesDesc& desc) {
    require_positive("patches", "height", desc.height);
    require_positive("patches", "width", desc.width);
    require_positive("patches", "patch", desc.patch);
    YEOUL_REQUIRE(desc.height % desc.patch == 0 && desc.width % desc.patch == 0,
                  "patches: " << desc.height << "x" << desc.width << " is not a multiple of patch "
                              << desc.patch);
    require_fp16("patches", "out", desc.out);
    return std::make_unique<CudaPatches>(context, desc);
}

} // namespace yeoul::cuda

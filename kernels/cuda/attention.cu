// Which instance of the attention kernel serves which shape.
#include <algorithm>
#include <cmath>
#include <sstream>

#include "kernels/checks.h"
#include "kernels/cuda/attention_kernel.cuh"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/ops.h"

namespace yeoul::cuda {
namespace {

// Heads of another length take the next longer instance, padded with zeros.
struct Instance {
    int dim, warps;
    void (*kernel)(AttentionArguments);
    size_t shared_bytes() const { return size_t{2} * warps * kRows * dim * sizeof(half); }
};

// Four warps reload keys and values the least. At head_dim 128 they spill.
constexpr Instance kInstances[] = {
    {32, 4, attention_kernel<32, 4>},   {32, 2, attention_kernel<32, 2>},
    {64, 4, attention_kernel<64, 4>},   {64, 2, attention_kernel<64, 2>},
    {72, 4, attention_kernel<72, 4>},   {72, 2, attention_kernel<72, 2>},
    {80, 4, attention_kernel<80, 4>},   {80, 2, attention_kernel<80, 2>},
    {96, 4, attention_kernel<96, 4>},   {96, 2, attention_kernel<96, 2>},
    {128, 2, attention_kernel<128, 2>},
};
constexpr int kLongestHead = 128;
constexpr int kMaxGrid = 65535; // of y and z
constexpr int kMaxHeads = 4096; // offsets within a tile fit an int
constexpr int kMaxTokens = 1 << 20;

int divided_up(int a, int b) {
    return (a + b - 1) / b;
}

// Time as warps in turn on the busiest SM, whose four partitions run four at once: fewer than four
// save nothing, because 16 rows are one warp's work in either tile.
int turns(const Instance& instance, int tokens, int heads, int batch, int sm_count) {
    const int64_t blocks = int64_t{divided_up(tokens, instance.warps * kRows)} * heads * batch;
    return static_cast<int>(
        std::max<int64_t>(4, (blocks + sm_count - 1) / sm_count * instance.warps));
}

// The small tile, which loads keys and values twice as often, where it saves a quarter of the
// turns: 12 heads of 197 tokens alone on 40 SMs take 6 instead of 8.
const Instance& choose(const AttentionDesc& desc, int batch, int sm_count) {
    const Instance* chosen = nullptr;
    int fewest = 0;
    for (const Instance& instance : kInstances) {
        if (instance.dim < desc.head_dim || (chosen != nullptr && instance.dim != chosen->dim))
            continue;
        const int count = turns(instance, desc.tokens, desc.heads, batch, sm_count);
        if (chosen == nullptr || 4 * count <= 3 * fewest) {
            chosen = &instance;
            fewest = count;
        }
    }
    return *chosen;
}

class CudaAttention final : public Attention {
public:
    CudaAttention(const Context& context, const AttentionDesc& desc)
        : desc_(desc), batches_("attention", desc.batches) {
        YEOUL_REQUIRE(batches_.largest() <= kMaxGrid,
                      "attention: batch " << batches_.largest() << " is over " << kMaxGrid);
        for (int batch : batches_.sizes()) {
            plans_.push_back(&choose(desc, batch, context.sm_count));
            prepare(plans_.back()->kernel, plans_.back()->shared_bytes());
        }
    }

    void operator()(const View& qkv, const View& y, Scratch, StreamRef stream) override {
        const int batch = leading(qkv), dim = desc_.heads * desc_.head_dim;
        const Instance& plan = *plans_[batches_.index(batch)];
        require_activation("attention", "qkv", qkv, DType::f16, batch, {desc_.tokens, 3 * dim});
        require_activation("attention", "y", y, DType::f16, batch, {desc_.tokens, dim});
        require_aligned("attention", "qkv", qkv, sizeof(uint4));
        require_aligned("attention", "y", y, sizeof(uint4));
        require_apart("attention", "y", y, "qkv", qkv);
        AttentionArguments arguments{};
        arguments.qkv = qkv.as<const half>();
        arguments.y = y.as<half>();
        arguments.tokens = desc_.tokens;
        arguments.heads = desc_.heads;
        arguments.head_dim = desc_.head_dim;
        arguments.scale = desc_.scale * 1.44269504f; // log2(e)
        arguments.causal = desc_.causal;
        launch(plan.kernel, dim3(tiles(plan), desc_.heads, batch), dim3(plan.warps * kWarp),
               plan.shared_bytes(), stream, arguments);
    }

    std::string kernel(int batch) const override {
        const Instance& plan = *plans_[batches_.index(batch)];
        std::ostringstream text;
        text << "mma m16n8k8, head_dim " << plan.dim << ", tiles of " << plan.warps * kRows << ", "
             << int64_t{tiles(plan)} * desc_.heads * batch << " blocks";
        return text.str();
    }

private:
    int tiles(const Instance& plan) const { return divided_up(desc_.tokens, plan.warps * kRows); }

    AttentionDesc desc_;
    Batches batches_;
    std::vector<const Instance*> plans_; // by batch index
};

} // namespace

std::unique_ptr<Attention> make_attention(const Context& context, const AttentionDesc& desc) {
    require_positive("attention", "tokens", desc.tokens);
    require_positive("attention", "heads", desc.heads);
    require_positive("attention", "head_dim", desc.head_dim);
    YEOUL_REQUIRE(desc.dtype == DType::f16,
                  "attention: dtype is " << name(desc.dtype) << ", must be fp16");
    YEOUL_REQUIRE(desc.head_dim % kPack == 0 && desc.head_dim <= kLongestHead,
                  "attention: head_dim is " << desc.head_dim << ", must be a multiple of " << kPack
                                            << " up to " << kLongestHead);
    YEOUL_REQUIRE(desc.heads <= kMaxHeads,
                  "attention: heads is " << desc.heads << ", over " << kMaxHeads);
    YEOUL_REQUIRE(desc.tokens <= kMaxTokens,
                  "attention: tokens is " << desc.tokens << ", over " << kMaxTokens);
    YEOUL_REQUIRE(desc.scale > 0 && std::isfinite(desc.scale),
                  "attention: scale is " << desc.scale << ", must be positive");
    return std::make_unique<CudaAttention>(context, desc);
}

} // namespace yeoul::cuda

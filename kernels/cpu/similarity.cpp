// Photos against labels: a plain loop, label by label, so that a label is read once.
#include <cmath>
#include <limits>

#include "kernels/checks.h"
#include "kernels/convert.h"
#include "kernels/cpu/lane_sum.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/processor.h"
#include "kernels/cpu/stream.h"

namespace yeoul::cpu {
namespace {

template <class W>
float dot(const float* x, const W* w, int dim) {
    return lane_sum(dim, [=](int i) { return x[i] * load(w + i); });
}

template <class W>
class CpuSimilarity final : public Similarity {
public:
    explicit CpuSimilarity(const SimilarityDesc& desc)
        : desc_(desc), batches_("similarity", desc.batches) {}

    void operator()(const View& x, const View& norm, const View& w, const View& y, Scratch,
                    StreamRef stream) override {
        const int batch = leading(x);
        batches_.index(batch);
        require_similarity(desc_, batch, x, norm, w, y);
        worker(stream).enqueue([this, batch, labels = leading(w), in = x.as<const float>(),
                                lengths = norm.as<const float>(), rows = w.as<const W>(),
                                out = y.as<float>()](dnnl_stream*) {
            for (int label = 0; label < labels; ++label)
                for (int photo = 0; photo < batch; ++photo)
                    out[static_cast<size_t>(photo) * labels + label] =
                        compare(in + static_cast<size_t>(photo) * desc_.dim, lengths[photo],
                                rows + static_cast<size_t>(label) * desc_.dim);
        });
    }

    std::string kernel(int batch) const override {
        batches_.index(batch);
        return "loop";
    }

private:
    float compare(const float* x, float length, const W* w) const {
        if (!(length > 0 && std::isfinite(length)))
            return std::numeric_limits<float>::quiet_NaN();
        return dot(x, w, desc_.dim) / length * desc_.scale;
    }

    SimilarityDesc desc_;
    Batches batches_;
};

} // namespace

std::unique_ptr<Similarity> make_similarity(const SimilarityDesc& desc) {
    require_similarity(desc);
    require_computable("similarity", "w", desc.w);
    if (desc.w == DType::bf16)
        return std::make_unique<CpuSimilarity<Bf16>>(desc);
    return std::make_unique<CpuSimilarity<float>>(desc);
}

} // namespace yeoul::cpu

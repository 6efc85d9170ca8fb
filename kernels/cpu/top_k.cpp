// Softmax and the k largest: plain loops, the best k kept in order.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/checks.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/stream.h"

namespace yeoul::cpu {
namespace {

class CpuTopK final : public TopK {
public:
    explicit CpuTopK(const TopKDesc& desc) : desc_(desc), batches_("top_k", desc.batches) {}

    void operator()(const View& x, const View& values, const View& indices, Scratch,
                    StreamRef stream) override {
        const int batch = leading(x);
        batches_.index(batch);
        require_top_k(desc_, batch, x, values, indices);
        worker(stream).enqueue([this, batch, classes = x.last(), in = x.as<const float>(),
                                out = values.as<float>(), which = indices.as<int>()](dnnl_stream*) {
            for (int row = 0; row < batch; ++row)
                take(in + static_cast<size_t>(row) * classes, classes,
                     out + static_cast<size_t>(row) * desc_.k,
                     which + static_cast<size_t>(row) * desc_.k);
        });
    }

    std::string kernel(int batch) const override {
        batches_.index(batch);
        return "loop";
    }

private:
    // One row: x (classes), values and indices (k).
    void take(const float* x, int classes, float* values, int* indices) const {
        const float largest = *std::max_element(x, x + classes);
        double sum = 0; // NaN where one is in x, or where the largest is infinite
        for (int i = 0; i < classes; ++i)
            sum += std::exp(x[i] - largest);
        if (!std::isfinite(sum)) {
            std::fill_n(values, desc_.k, std::numeric_limits<float>::quiet_NaN());
            std::fill_n(indices, desc_.k, -1);
            return;
        }
        std::array<int, TopKDesc::kMaxK> best{};
        int count = 0;
        for (int i = 0; i < classes; ++i) {
            if (count == desc_.k && !(x[i] > x[best[count - 1]]))
                continue;
            // Behind those that are as large: they have lower indices.
            int place = count < desc_.k ? count++ : count - 1;
            for (; place > 0 && x[i] > x[best[place - 1]]; --place)
                best[place] = best[place - 1];
            best[place] = i;
        }
        for (int i = 0; i < desc_.k; ++i) {
            values[i] = static_cast<float>(std::exp(x[best[i]] - largest) / sum);
            indices[i] = best[i];
        }
    }

    TopKDesc desc_;
    Batches batches_;
};

} // namespace

std::unique_ptr<TopK> make_top_k(const TopKDesc& desc) {
    require_top_k(desc);
    return std::make_unique<CpuTopK>(desc);
}

} // namespace yeoul::cpu

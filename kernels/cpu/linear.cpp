// Linear layers on packed weights.
#include "kernels/checks.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/packed_linear.h"
#include "kernels/cpu/processor.h"
#include "kernels/cpu/threads.h"

namespace yeoul::cpu {
namespace {

class CpuLinear : public Linear {
public:
    CpuLinear(const LinearDesc& desc, Batches batches, PackedLinear packed)
        : desc_(desc), batches_(std::move(batches)), packed_(std::move(packed)) {}

    void operator()(const View& x, const View& y, Scratch scratch, StreamRef stream) override {
        const int batch = leading(x);
        const size_t plan = batches_.index(batch);
        require("x", x, desc_.x, batch, desc_.in);
        require("y", y, desc_.y, batch, desc_.out);
        require_scratch("linear", scratch, scratch_bytes());
        worker(stream).enqueue(packed_.call(plan, x.data, y.data, scratch.data));
    }

    size_t scratch_bytes() const override { return packed_.scratch_bytes(); }
    size_t weight_bytes() const override { return packed_.weight_bytes(); }
    std::string kernel(int batch) const override { return packed_.kernel(batches_.index(batch)); }

private:
    void require(const char* what, const View& view, DType dtype, int batch, int columns) const {
        if (desc_.rows == 1 && view.rank == 2)
            require_activation("linear", what, view, dtype, batch, {columns});
        else
            require_activation("linear", what, view, dtype, batch, {desc_.rows, columns});
    }

    LinearDesc desc_;
    Batches batches_;
    PackedLinear packed_;
};

} // namespace

std::unique_ptr<Linear> make_linear(const Context& context, const LinearDesc& desc,
                                    const LinearWeights& weights) {
    require_positive("linear", "rows", desc.rows);
    require_positive("linear", "in", desc.in);
    require_positive("linear", "out", desc.out);
    require_computable("linear", "x", desc.x);
    require_computable("linear", "y", desc.y);
    YEOUL_REQUIRE(!desc.accumulate || desc.activation == Activation::none,
                  "linear: an activation on an accumulated product is not defined");
    Batches batches("linear", desc.batches);
    std::vector<int> rows;
    for (int batch : batches.sizes())
        rows.push_back(total_rows("linear", batch, desc.rows));
    std::unique_ptr<Linear> made;
    run_with_math_threads(context.onednn.threads, [&] {
        made = std::make_unique<CpuLinear>(desc, std::move(batches),
                                           PackedLinear("linear", context, desc, weights, rows));
    });
    return made;
}

} // namespace yeoul::cpu

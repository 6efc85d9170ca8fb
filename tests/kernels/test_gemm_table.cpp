#include <algorithm>
#include <cmath>

#include "kernels/cuda/gemm_library.h"
#include "kernels/cuda/gemm_table.h"
#include "tests/kernels/backends.h"
#include "tests/kernels/device_tensor.h"
#include "tests/support/random.h"

using namespace yeoul;
using namespace yeoul::test;
using cuda::GemmChoice;
using cuda::GemmMachine;
using cuda::GemmShape;
using cuda::GemmTable;

namespace {

constexpr GemmChoice kLibrary{true, {}};

GemmChoice own(const std::string& tile, int splits = 1) {
    for (size_t i = 0; i < cuda::kGemmTiles.size(); ++i)
        if (tile == cuda::kGemmTiles[i].name)
            return {false, {static_cast<int>(i), splits}};
    FAIL("no tile " << tile);
    return {};
}

// A library that is asked and never runs.
class NamedLibrary final : public cuda::GemmLibrary {
public:
    std::string name() const override { return "fake-1.2.3"; }
    bool fuses(Activation activation) const override {
        return activation == Activation::none || activation == Activation::relu;
    }
    std::unique_ptr<Plan> plan(const GemmShape&, int, bool, size_t) const override {
        return nullptr;
    }
};

// One that takes no shape at all.
class RefusingLibrary final : public cuda::GemmLibrary {
public:
    explicit RefusingLibrary(ErrorCode code) : code_(code) {}
    std::string name() const override { return "fake-1.2.3"; }
    bool fuses(Activation) const override { return true; }
    std::unique_ptr<Plan> plan(const GemmShape&, int, bool, size_t) const override {
        throw Error(code_, "it refuses");
    }

private:
    ErrorCode code_;
};

const char* const kText =
    "yeoul-gemm-table 1\n"
    "# sm  library     rows  columns  inner  end         choice      microseconds\n"
    "75    fake-1.2.3  3200  3072     768    quick_gelu  128x96x32   "
    "library=655.10 128x96x32=612.30\n"
    "75    none        50    768      3072   accumulate  64x96x32/4  predicted\n"
    "90    fake-1.2.3  197   1        1      gelu_tanh   library     library=3.00\n";

std::string refused(const std::string& rows) {
    return error_of(ErrorCode::invalid_argument,
                    [&] { (void)GemmTable::parse("yeoul-gemm-table 1\n" + rows); });
}

} // namespace

TEST_CASE("gemm_table: reads what it writes, and writes it aligned") {
    const GemmTable table = GemmTable::parse(kText);
    REQUIRE(table.rows().size() == 3);
    const GemmTable::Row first{75,
                               "fake-1.2.3",
                               {3200, 3072, 768, Activation::quick_gelu, false},
                               own("128x96x32"),
                               {{kLibrary, 655.10}, {own("128x96x32"), 612.30}}};
    CHECK(table.rows()[0] == first);
    const GemmTable::Row second{
        75, "none", {50, 768, 3072, Activation::none, true}, own("64x96x32", 4), {}};
    CHECK(table.rows()[1] == second);
    CHECK(table.text() == kText);
    CHECK(GemmTable::parse(table.text()).rows() == table.rows());
    CHECK(GemmTable().text() ==
          "yeoul-gemm-table 1\n# sm  library  rows  columns  inner  end  choice  microseconds\n");
    CHECK(GemmTable::parse(GemmTable().text()).rows().empty());
    // as an editor on Windows leaves it, without a last newline, with a remark
    CHECK(GemmTable::parse("yeoul-gemm-table 1\r\n# a remark\r\n\r\n"
                           "75 none 1 2 3 relu 64x64x32 predicted")
              .rows()
              .size() == 1);
}

TEST_CASE("gemm_table: serves only the device, library and shape of a row") {
    const GemmTable table = GemmTable::parse(kText);
    const NamedLibrary library;
    const GemmMachine with{75, 40, &library}, without{75, 40, nullptr}, other{80, 108, &library};
    GemmShape shape{3200, 3072, 768, Activation::quick_gelu, false};
    REQUIRE(table.find(with, shape) == &table.rows()[0]);
    CHECK(table.find(without, shape) == nullptr);
    CHECK(table.find(other, shape) == nullptr);
    CHECK(cuda::decide(&table, with, shape).measured);
    shape.rows = 3199;
    CHECK(table.find(with, shape) == nullptr);
    CHECK_FALSE(cuda::decide(&table, with, shape).measured);
    shape = {50, 768, 3072, Activation::none, true};
    CHECK(cuda::decide(&table, without, shape).choice == own("64x96x32", 4));
    CHECK_FALSE(cuda::decide(&table, without, shape).measured);
    shape.accumulate = false;
    CHECK(table.find(without, shape) == nullptr);
}

TEST_CASE("gemm_table: refuses what it cannot read, naming the line") {
    const auto whole = [](const char* text) {
        return error_of(ErrorCode::invalid_argument, [&] { (void)GemmTable::parse(text); });
    };
    CHECK(contains(whole(""), "line 1: must be 'yeoul-gemm-table 1'"));
    CHECK(contains(whole("yeoul-gemm-table 2\n"), "line 1: must be"));
    const struct {
        const char *rows, *message;
    } cases[] = {
        {"75 none 1 2 3 none", "line 2: 6 words, must be at least 8"},
        {"# remark\n\nx none 1 2 3 none 64x64x32 predicted", "line 4: sm is 'x', must be a whole"},
        {"75 none 0 2 3 none 64x64x32 predicted", "rows is '0'"},
        {"75 none 1 -2 3 none 64x64x32 predicted", "columns is '-2'"},
        {"75 none 1 2 3.5 none 64x64x32 predicted", "inner is '3.5'"},
        {"75 none 1 2 99999999999 none 64x64x32 predicted", "inner is '99999999999'"},
        {"75 none 1 2 3 silu 64x64x32 predicted", "end 'silu' is not known"},
        {"75 none 1 2 3 none 96x96x32 predicted", "choice '96x96x32' is not known; known are"},
        {"75 none 1 2 3 none 64x64x32/0 predicted", "the split is '0'"},
        {"75 none 1 2 3 none 64x64x32/ predicted", "the split is ''"},
        {"75 none 1 2 9999999 none 64x64x32/65536 predicted", "over 65536 is over 65535"},
        {"75 none 1 2 96 none 64x64x32/4 predicted", "3 steps over 4 leaves some without work"},
        {"75 none 1 2 128 none 64x64x32/3 predicted", "4 steps over 3 leaves some without work"},
        {"75 none 1 2 3 none library predicted", "the choice is the library, and there is none"},
        {"75 a 1 2 3 none library 64x64x32=1.0", "the choice library was not measured"},
        {"75 a 1 2 3 none library library", "microseconds are 'library'"},
        {"75 a 1 2 3 none library library=fast", "microseconds are 'library=fast'"},
        {"75 a 1 2 3 none library library=-1", "microseconds are 'library=-1'"},
        {"75 a 1 2 3 none library library=nan", "microseconds are 'library=nan'"},
        {"75 a 1 2 3 none library library=1.0x", "microseconds are 'library=1.0x'"},
        {"75 a 1 2 3 none library library=1 predicted", "choice 'predicted' is not known"},
        {"75 a 1 2 3 none library library=1\n75 a 1 2 3 none 64x64x32 predicted",
         "line 3: this shape has a row above"},
    };
    for (const auto& c : cases) {
        INFO(c.rows);
        const std::string message = refused(c.rows);
        CHECK(contains(message, "gemm table, line "));
        CHECK_MESSAGE(contains(message, c.message), message);
    }
}

// What the rules give for the four products of a layer of ViT-B/32 on a T4: it is printed in
// `inspect` and stands in the documentation, so a change shows here.
TEST_CASE("gemm_table: chooses by waves on a T4") {
    const NamedLibrary library;
    const GemmMachine alone{75, 40, nullptr}, with{75, 40, &library};
    const auto layer = [](int batch) {
        const int rows = 50 * batch;
        return std::vector<GemmShape>{{rows, 2304, 768, Activation::none, false},
                                      {rows, 768, 768, Activation::none, true},
                                      {rows, 3072, 768, Activation::quick_gelu, false},
                                      {rows, 768, 3072, Activation::none, true}};
    };
    // 25 row tiles by 24, 8, 32 and 8: whole waves on 40 SMs
    for (const GemmShape& shape : layer(64)) {
        CHECK(cuda::predict(alone, shape) == own("128x96x32"));
        const bool is_fused = shape.activation == Activation::quick_gelu;
        CHECK(cuda::predict(with, shape) == (is_fused ? own("128x96x32") : kLibrary));
    }
    // One photo has 8 or 12 tiles across 768 columns, for 40 SMs: those products are split. The
    // wider ones have tiles for nearly all SMs.
    const auto one = layer(1);
    CHECK(cuda::predict(with, one[0]) == kLibrary);
    CHECK(cuda::predict(with, one[1]) == own("64x64x32", 3));
    CHECK(cuda::predict(with, one[2]) == own("64x96x32"));
    CHECK(cuda::predict(with, one[3]) == own("64x96x32", 4));
    CHECK(cuda::predict(alone, one[0]) == own("64x64x32"));
    CHECK(cuda::predicted_us(alone, one[3], {2, 4}) <
          cuda::predicted_us(alone, one[3], {2, 1}) / 2);
    // What the rules say elsewhere
    const GemmMachine newer{90, 132, &library};
    for (const GemmShape& shape : layer(64))
        CHECK(cuda::predict(newer, shape) == kLibrary);
    // 1024 columns are 8 tiles of 128 and 10.7 of 96
    CHECK(cuda::predict(alone, {257 * 16, 1024, 1024, Activation::none, false}) ==
          own("128x128x32"));
}

TEST_CASE("simt: gemm_table: a shape that the library refuses gets the best own product") {
    const GemmShape shape{3, 24, 3072, Activation::none, false};
    LinearDesc desc;
    desc.rows = shape.rows;
    desc.in = shape.inner;
    desc.out = shape.columns;
    desc.x = desc.y = DType::f16;
    desc.batches = {1};
    const HostTensor w(DType::f32, {24, 3072}, random_eighths(24 * 3072, 1, 1));
    const auto kernel = [&](ErrorCode code) {
        const auto backend =
            cuda::make_backend({.library = std::make_unique<RefusingLibrary>(code),
                                .table = std::make_unique<GemmTable>(std::vector<GemmTable::Row>{
                                    {75, "fake-1.2.3", shape, kLibrary, {}}})});
        return backend->linear(desc, {{w.view()}, {}})->kernel(1);
    };
    const auto alone = cuda::make_backend({});
    const std::string best = alone->linear(desc, {{w.view()}, {}})->kernel(1);
    CHECK(contains(best, "split-K"));
    CHECK(kernel(ErrorCode::device) == best);
    // What is no matter of the shape is not passed over.
    error_of(ErrorCode::internal, [&] { (void)kernel(ErrorCode::internal); });
}

TEST_CASE("gemm_table: no split is without work, and none needs more than a T4's L2") {
    const GemmMachine machine{75, 40, nullptr};
    for (int rows : {1, 50, 197, 400, 1600})
        for (int inner : {1, 32, 129, 588, 768, 3072, 4096})
            for (int tile = 0; tile < static_cast<int>(cuda::kGemmTiles.size()); ++tile) {
                const GemmShape shape{rows, 768, inner, Activation::none, false};
                const auto how = cuda::best_split(machine, shape, tile);
                const int steps = cuda::divide_up(inner, cuda::kGemmInner);
                const int each = cuda::divide_up(steps, how.splits);
                CHECK(cuda::divide_up(steps, each) == how.splits);
                CHECK(cuda::gemm_scratch_bytes(shape, how) <= 4000000);
                CHECK(std::isfinite(cuda::predicted_us(machine, shape, how)));
            }
}

TEST_CASE("simt: gemm_table: tune measures every product of the ops made, and is read back") {
    std::string text;
    const auto linear = [](Backend& backend, int out, bool accumulate) {
        LinearDesc desc;
        desc.rows = 3;
        desc.in = 300;
        desc.out = out;
        desc.accumulate = accumulate;
        desc.x = desc.y = DType::f16;
        desc.batches = {1, 2};
        const HostTensor w(DType::f32, {out, 300},
                           random_eighths(static_cast<size_t>(out) * 300, 1, 1));
        return backend.linear(desc, {{w.view()}, {}});
    };
    {
        const auto backend = cuda::make_backend({});
        CHECK(GemmTable::parse(backend->tune_gemms(0.01)).rows().empty());
        (void)linear(*backend, 24, false);
        (void)linear(*backend, 24, false); // again: the same shapes
        (void)linear(*backend, 17, true);
        text = backend->tune_gemms(0.01);
    }
    const GemmTable table = GemmTable::parse(text);
    CHECK(table.text() == text);
    REQUIRE(table.rows().size() == 4);
    for (const GemmTable::Row& row : table.rows()) {
        CHECK(row.sm == 75);
        CHECK(row.library == "none");
        CHECK((row.shape.rows == 3 || row.shape.rows == 6));
        CHECK(row.shape.inner == 300);
        CHECK(row.shape.accumulate == (row.shape.columns == 17));
        CHECK(row.measured.size() >= 2);
        const auto fastest =
            std::min_element(row.measured.begin(), row.measured.end(),
                             [](const auto& a, const auto& b) { return a.us < b.us; });
        const auto chosen = std::find_if(row.measured.begin(), row.measured.end(),
                                         [&](const auto& c) { return c.choice == row.choice; });
        REQUIRE(chosen != row.measured.end());
        CHECK(chosen->us == fastest->us); // of two alike, either
    }
    const auto backend = cuda::make_backend({.table = std::make_unique<GemmTable>(table)});
    CHECK(contains(linear(*backend, 24, false)->kernel(2), "(measured)"));
    CHECK(contains(linear(*backend, 25, false)->kernel(2), "(predicted)"));

    // Another model, which has two of the four shapes and two others: nothing is lost.
    const auto other = cuda::make_backend({.table = std::make_unique<GemmTable>(table)});
    (void)linear(*other, 24, false);
    (void)linear(*other, 25, false);
    const GemmTable both = GemmTable::parse(other->tune_gemms(0.01));
    REQUIRE(both.rows().size() == 6);
    for (const GemmTable::Row& row : table.rows())
        CHECK(row.shape == both.rows()[&row - table.rows().data()].shape);
    CHECK(both.rows()[2] == table.rows()[2]); // not of this model: as it was
    CHECK(both.rows()[3] == table.rows()[3]);
    CHECK(both.rows()[4].shape.columns == 25);
}

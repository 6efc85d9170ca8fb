#include "engine/duplicates.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

#include "loader/narrow.h"

namespace yeoul {
namespace {

// A vector of unit length rounded to `dtype` is off by up to 2^-p in each value relatively, so the
// product of two by 2 * 2^-p (Cauchy-Schwarz), and the result once more. Sums in fp32 of up to
// 4,096 terms add at most 2^-14 in a bad order. Below: a margin beyond all of it.
double margin_of(DType dtype) {
    return dtype == DType::f32 ? 1e-4 : dtype == DType::f16 ? 2e-3 : 1.6e-2;
}

/// Sets that only grow together; the smallest member stands for a set.
class DisjointSets {
public:
    explicit DisjointSets(size_t count) : parent_(count) {
        std::iota(parent_.begin(), parent_.end(), 0);
    }
    int find(int x) {
        while (parent_[x] != x)
            x = parent_[x] = parent_[parent_[x]];
        return x;
    }
    void join(int a, int b) {
        a = find(a), b = find(b);
        parent_[std::max(a, b)] = std::min(a, b);
    }

private:
    std::vector<int> parent_;
};

/// Waits at the end of a scope: what ends with it is used by a stream, also when an error leaves.
class Drained {
public:
    Drained(Device& device, StreamRef stream) : device_(device), stream_(stream) {}
    ~Drained() {
        try {
            device_.synchronize(stream_);
        } catch (const Error&) { // it was told before
        }
    }
    Drained(const Drained&) = delete;
    Drained& operator=(const Drained&) = delete;

private:
    Device& device_;
    StreamRef stream_;
};

class Search {
public:
    /// Without a backend and its memory: pair by pair, on the host.
    Search(Backend* backend, Device* memory, DType compute, const VectorRows& rows,
           double threshold, int block)
        : backend_(backend), memory_(memory), compute_(compute), rows_(rows), threshold_(threshold),
          lowest_(static_cast<float>(threshold - margin_of(compute))),
          highest_(static_cast<float>(threshold + margin_of(compute))), good_(good_rows(rows)),
          count_(static_cast<int>(good_.size())), block_(std::min(block, (count_ + 7) / 8 * 8)),
          sets_(good_.size()) {}

    Duplicates run() {
        if (count_ >= 2 && backend_)
            compare_blocks(*backend_, *memory_);
        if (!backend_)
            compare_pairs();
        Duplicates found;
        std::map<int, std::vector<int>> groups; // by the smallest member
        for (int i = 0; i < count_; ++i)
            groups[sets_.find(i)].push_back(good_[i].index);
        for (auto& [first, members] : groups)
            if (members.size() > 1)
                found.groups.push_back(std::move(members));
        if (closest_ > kNone) {
            found.closest = {good_[closest_first_].index, good_[closest_second_].index};
            found.closest_cosine = static_cast<float>(cosine(closest_first_, closest_second_));
        }
        return found;
    }

private:
    static constexpr float kNone = -2; // below any cosine

    /// A vector that has a direction.
    struct Good {
        int index;
        double length;
    };
    static std::vector<Good> good_rows(const VectorRows& rows) {
        std::vector<Good> good;
        for (size_t i = 0; i < rows.count(); ++i) {
            const float* x = rows.values.data() + i * static_cast<size_t>(rows.dim);
            const double length = std::sqrt(dot(x, x, rows.dim));
            if (std::isfinite(length) && length > 0)
                good.push_back({static_cast<int>(i), length});
        }
        return good;
    }

    static double dot(const float* x, const float* y, int dim) {
        double sum = 0;
        for (int i = 0; i < dim; ++i)
            sum += static_cast<double>(x[i]) * y[i];
        return sum;
    }
    const float* row(int i) const {
        return rows_.values.data() + static_cast<size_t>(good_[i].index) * rows_.dim;
    }
    double cosine(int a, int b) const {
        return dot(row(a), row(b), rows_.dim) / (good_[a].length * good_[b].length);
    }

    // Rows first ... first + block of length 1, zeros beyond the end, in fp32.
    std::vector<float> unit_rows(int first) const {
        std::vector<float> unit(static_cast<size_t>(block_) * rows_.dim);
        for (int i = 0; i < std::min(block_, count_ - first); ++i) {
            const float* x = row(first + i);
            float* y = unit.data() + static_cast<size_t>(i) * rows_.dim;
            for (int d = 0; d < rows_.dim; ++d)
                y[d] = static_cast<float>(x[d] / good_[first + i].length);
        }
        return unit;
    }

    void compare_pairs() {
        for (int a = 0; a < count_; ++a)
            for (int b = a + 1; b < count_; ++b) {
                const double alike = cosine(a, b);
                if (alike > closest_) {
                    closest_ = static_cast<float>(alike);
                    closest_first_ = a;
                    closest_second_ = b;
                }
                if (alike >= threshold_)
                    sets_.join(a, b);
            }
    }

    // The blocks on and above the diagonal: y (block, block) = x w^T, w the columns' rows.
    void compare_blocks(Backend& backend, Device& memory) {
        const size_t wide = size_bytes(compute_);
        const size_t x_bytes = wide * block_ * rows_.dim, y_bytes = wide * block_ * block_;
        const DeviceMemory x = make_device_memory(memory, x_bytes);
        const DeviceMemory y = make_device_memory(memory, y_bytes);
        const PinnedMemory host_x = make_pinned_memory(memory, x_bytes);
        const PinnedMemory host_y = make_pinned_memory(memory, y_bytes);
        std::vector<float> products(static_cast<size_t>(block_) * block_);
        const Stream stream(backend); // idle at the end of each product
        for (int column = 0; column < count_; column += block_) {
            std::vector<float> unit = unit_rows(column);
            const std::unique_ptr<Linear> product =
                backend.linear({.rows = block_,
                                .in = rows_.dim,
                                .out = block_,
                                .x = compute_,
                                .y = compute_,
                                .batches = {1}},
                               {{View(unit.data(), DType::f32, {block_, rows_.dim})}, {}});
            const DeviceMemory scratch = make_device_memory(memory, product->scratch_bytes());
            const Drained drained(backend, stream); // before both of them go
            for (int first = 0; first <= column; first += block_) {
                narrow(first == column ? unit : unit_rows(first), host_x.get());
                backend.copy(x.get(), host_x.get(), x_bytes, CopyKind::host_to_device, stream);
                (*product)(View(x.get(), compute_, {1, block_, rows_.dim}),
                           View(y.get(), compute_, {1, block_, block_}),
                           {scratch.get(), product->scratch_bytes()}, stream);
                backend.copy(host_y.get(), y.get(), y_bytes, CopyKind::device_to_host, stream);
                backend.synchronize(stream);
                widen(host_y.get(), products);
                take(first, column, products);
            }
        }
    }

    void narrow(const std::vector<float>& x, void* y) const {
        if (compute_ == DType::f32)
            std::memcpy(y, x.data(), x.size() * sizeof(float));
        else
            std::transform(x.begin(), x.end(), static_cast<uint16_t*>(y),
                           compute_ == DType::f16 ? loader::to_fp16 : loader::to_bf16);
    }
    void widen(const void* x, std::vector<float>& y) const {
        const auto* halves = static_cast<const uint16_t*>(x);
        if (compute_ == DType::f32)
            std::memcpy(y.data(), x, y.size() * sizeof(float));
        else
            std::transform(halves, halves + y.size(), y.begin(),
                           compute_ == DType::f16 ? loader::from_fp16 : loader::from_bf16);
    }

    // Pairs of this block that may be alike, or closer than any so far.
    void take(int first_row, int column, const std::vector<float>& products) {
        const int columns = std::min(block_, count_ - column);
        for (int i = 0; i < std::min(block_, count_ - first_row); ++i) {
            const int a = first_row + i, first = first_row == column ? i + 1 : 0;
            const float* y = products.data() + static_cast<size_t>(i) * block_;
            float largest = kNone;
            for (int j = first; j < columns; ++j)
                largest = y[j] > largest ? y[j] : largest;
            if (largest > closest_) {
                closest_ = largest;
                closest_first_ = a;
                closest_second_ =
                    column + static_cast<int>(std::find(y + first, y + columns, largest) - y);
            }
            if (largest < lowest_)
                continue;
            for (int j = first; j < columns; ++j)
                if (y[j] >= lowest_)
                    judge(a, column + j, y[j]);
        }
    }

    void judge(int a, int b, float product) {
        if (sets_.find(a) != sets_.find(b) && (product >= highest_ || cosine(a, b) >= threshold_))
            sets_.join(a, b);
    }

    Backend* backend_;
    Device* memory_;
    DType compute_;
    VectorRows rows_;
    double threshold_;
    float lowest_, highest_; // products below are apart, products above alike
    std::vector<Good> good_; // rows and columns of the product
    int count_, block_;
    DisjointSets sets_;
    float closest_ = kNone;
    int closest_first_ = 0, closest_second_ = 0;
};

void check_threshold(double threshold) {
    YEOUL_REQUIRE(threshold > 0 && threshold <= 1,
                  "the threshold is " << threshold << ", must be above 0 and at most 1");
}

} // namespace

Duplicates find_duplicates(Backend& backend, Device& memory, DType compute, const VectorRows& rows,
                           double threshold, int block) {
    check_threshold(threshold);
    YEOUL_REQUIRE(block >= 8 && block % 8 == 0,
                  "block is " << block << ", must be a positive multiple of 8");
    return Search(&backend, &memory, compute, rows, threshold, block).run();
}

Duplicates find_duplicates(const VectorRows& rows, double threshold) {
    check_threshold(threshold);
    return Search(nullptr, nullptr, DType::f32, rows, threshold, 8).run();
}

} // namespace yeoul

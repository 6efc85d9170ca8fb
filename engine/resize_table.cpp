#include "engine/resize_table.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include <yeoul/error.h>

namespace yeoul {
namespace {

using loader::ResizeWindow;

constexpr int kGroup = 4;                   // pixels that the kernel multiplies at once
constexpr int32_t kHalf = 1 << 21;          // rounds the 22 bits of a weight away
constexpr int64_t kMaxPixels = 178'956'970; // Pillow's limit, as in loader::DecodeOptions
constexpr int kLongestSide = 1 << 22;       // as in loader::plan_resize
constexpr int kLongestWindow = 1 << 15;     // of a slot, as in the kernel

/// Which part of the window [offset, offset + extent) lies inside [0, out).
struct Inside {
    int first, count;
    Inside(int offset, int extent, int out)
        : first(std::max(offset, 0)),
          count(static_cast<int>(
              std::max<int64_t>(std::min<int64_t>(int64_t{offset} + extent, out) - first, 0))) {}
};

void require_plan(const loader::ResizePlan& plan) {
    YEOUL_REQUIRE(plan.in_height > 0 && plan.in_width > 0,
                  "resize table: a photo of " << plan.in_width << " x " << plan.in_height
                                              << " pixels has nothing to resize");
    if (std::max(plan.in_height, plan.in_width) > kLongestSide ||
        int64_t{plan.in_height} * plan.in_width > kMaxPixels)
        throw Error(ErrorCode::image_too_large,
                    "resize table: a photo of " + std::to_string(plan.in_width) + " x " +
                        std::to_string(plan.in_height) + " pixels is above " +
                        std::to_string(kMaxPixels) + " pixels or a side of " +
                        std::to_string(kLongestSide));
    YEOUL_REQUIRE(plan.out_height > 0 && plan.out_width > 0,
                  "resize table: a resize to " << plan.out_width << " x " << plan.out_height
                                               << " pixels, both must be at least 1");
    YEOUL_REQUIRE(plan.height > 0 && plan.width > 0 && plan.height <= kLongestWindow &&
                      plan.width <= kLongestWindow,
                  "resize table: a window of " << plan.width << " x " << plan.height
                                               << " pixels, both must be 1 to " << kLongestWindow);
}

int first_group(const ResizeWindow& window, int i) {
    return (window.begin[i] - window.first_input) / kGroup;
}

int group_count(const ResizeWindow& window, int i) {
    const int end = window.begin[i] + window.size[i] - window.first_input;
    return (end + kGroup - 1) / kGroup - first_group(window, i);
}

int most_groups(const ResizeWindow& window) {
    int groups = 0;
    for (int i = 0; i < static_cast<int>(window.begin.size()); ++i)
        groups = std::max(groups, group_count(window, i));
    return groups;
}

/// first, count, bias, weights[groups][3][width], the bytes of a weight apart.
void append_horizontal(const ResizeWindow& window, int groups, std::vector<int32_t>& words) {
    const size_t width = window.begin.size();
    const size_t base = words.size();
    words.resize(base + (3 + 3 * static_cast<size_t>(groups)) * width);
    int32_t* first = words.data() + base;
    int32_t* count = first + width;
    int32_t* bias = count + width;
    int32_t* weights = bias + width;
    for (size_t i = 0; i < width; ++i) {
        const int output = static_cast<int>(i);
        first[i] = first_group(window, output);
        count[i] = group_count(window, output);
        const int lead = window.begin[i] - window.first_input - first[i] * kGroup;
        const int32_t* taps = window.weights.data() + i * window.taps;
        // The kernel takes 128 from every pixel. Modulo 2^32, as all sums are.
        uint32_t sum = 0;
        for (int tap = 0; tap < window.size[i]; ++tap) {
            const int32_t w = taps[tap];
            // They sum to 2^22, so none of a filter that has one main lobe comes near.
            YEOUL_REQUIRE(w >= -(127 << 16) && w <= 127 << 16,
                          "resize table: a weight of " << w << " does not fit three bytes");
            sum += static_cast<uint32_t>(w);
            const auto c = static_cast<int8_t>(w);
            const auto b = static_cast<int8_t>((w - c) >> 8);
            const auto a = static_cast<int8_t>(((w - c) / 256 - b) >> 8);
            const size_t group = static_cast<size_t>(lead + tap) / kGroup;
            const int shift = (lead + tap) % kGroup * 8;
            int32_t* place = weights + group * 3 * width + i;
            const int8_t parts[3] = {a, b, c};
            for (size_t part = 0; part < 3; ++part) {
                int32_t& word = place[part * width];
                word = static_cast<int32_t>(static_cast<uint32_t>(word) |
                                            static_cast<uint32_t>(static_cast<uint8_t>(parts[part]))
                                                << shift);
            }
        }
        bias[i] = static_cast<int32_t>(kHalf + 128 * sum);
    }
}

/// begin, size, weights[height][taps].
void append_vertical(const ResizeWindow& window, std::vector<int32_t>& words) {
    for (int begin : window.begin)
        words.push_back(begin - window.first_input);
    words.insert(words.end(), window.size.begin(), window.size.end());
    words.insert(words.end(), window.weights.begin(), window.weights.end());
}

} // namespace

PlannedResize::PlannedResize(const loader::ResizePlan& plan, loader::Resample resample)
    : height_(plan.height), width_(plan.width) {
    require_plan(plan);
    const Inside rows(plan.top, plan.height, plan.out_height);
    const Inside columns(plan.left, plan.width, plan.out_width);
    if (rows.count == 0 || columns.count == 0)
        return; // a slot of zeros
    const ResizeWindow horizontal = make_resize_window(plan.in_width, plan.out_width, columns.first,
                                                       columns.count, resample, plan.extent_width);
    const ResizeWindow vertical = make_resize_window(plan.in_height, plan.out_height, rows.first,
                                                     rows.count, resample, plan.extent_height);
    top_ = vertical.first_input;
    left_ = horizontal.first_input;
    task_.rows = vertical.last_input - vertical.first_input;
    task_.columns = horizontal.last_input - horizontal.first_input;
    task_.top = rows.first - plan.top;
    task_.left = columns.first - plan.left;
    task_.height = rows.count;
    task_.width = columns.count;
    task_.groups = most_groups(horizontal);
    task_.taps = vertical.taps;
    task_.vertical_first = vertical_pass_first(plan);
    append_horizontal(horizontal, task_.groups, words_);
    task_.vertical = words_.size();
    append_vertical(vertical, words_);
    if (words_.size() % 2 != 0) // the next photo's tables stay 8-byte aligned
        words_.push_back(0);
}

size_t resize_table_bytes(std::span<const ResizeEntry> entries) {
    size_t bytes = entries.size() * sizeof(ResizeTask);
    for (const ResizeEntry& entry : entries)
        bytes += entry.photo == nullptr ? 0 : entry.photo->table_bytes();
    return bytes;
}

void fill_resize_table(std::span<const ResizeEntry> entries, const ResizeTarget& target,
                       void* table, size_t bytes) {
    const size_t needed = resize_table_bytes(entries);
    YEOUL_REQUIRE(bytes >= needed,
                  "resize table: room for " << bytes << " bytes, must have " << needed);
    YEOUL_REQUIRE(entries.empty() || table != nullptr, "resize table: no memory to write to");
    YEOUL_REQUIRE(reinterpret_cast<uintptr_t>(table) % alignof(ResizeTask) == 0,
                  "resize table: the memory is not " << alignof(ResizeTask) << "-byte aligned");
    auto* const tasks = static_cast<ResizeTask*>(table);
    auto* const base = static_cast<std::byte*>(table);
    size_t offset = entries.size() * sizeof(ResizeTask);
    for (size_t i = 0; i < entries.size(); ++i) {
        const ResizeEntry& entry = entries[i];
        YEOUL_REQUIRE(entry.photo != nullptr, "resize table: entry " << i << " has no photo");
        const PlannedResize& photo = *entry.photo;
        YEOUL_REQUIRE(photo.height() == target.height && photo.width() == target.width,
                      "resize table: entry " << i << " is a window of " << photo.width() << " x "
                                             << photo.height() << ", slots are " << target.width
                                             << " x " << target.height);
        YEOUL_REQUIRE(entry.slot >= 0 && entry.slot < target.slots,
                      "resize table: entry " << i << " names slot " << entry.slot << " of "
                                             << target.slots);
        const auto row_bytes = static_cast<uint64_t>(photo.columns()) * 3;
        YEOUL_REQUIRE(entry.pitch >= 0 && static_cast<uint64_t>(entry.pitch) >= row_bytes,
                      "resize table: entry " << i << " has a pitch of " << entry.pitch
                                             << " bytes, its rows have " << row_bytes);
        const uint64_t extent = photo.rows() == 0 ? 0
                                                  : static_cast<uint64_t>(photo.rows() - 1) *
                                                            static_cast<uint64_t>(entry.pitch) +
                                                        row_bytes;
        YEOUL_REQUIRE(extent <= target.source_bytes && entry.source <= target.source_bytes - extent,
                      "resize table: entry " << i << " reads " << extent << " bytes from "
                                             << entry.source << ", the source has "
                                             << target.source_bytes);
        ResizeTask& task = *new (tasks + i) ResizeTask(photo.task_);
        task.source = entry.source;
        task.pitch = entry.pitch;
        task.slot = entry.slot;
        task.horizontal += offset / sizeof(int32_t);
        task.vertical += offset / sizeof(int32_t);
        if (photo.table_bytes() > 0)
            std::memcpy(base + offset, photo.words_.data(), photo.table_bytes());
        offset += photo.table_bytes();
    }

    ResizeTask* const end = tasks + entries.size();
    std::sort(tasks, end, [](const auto& a, const auto& b) { return a.slot < b.slot; });
    const ResizeTask* twice = std::adjacent_find(
        tasks, end, [](const auto& a, const auto& b) { return a.slot == b.slot; });
    YEOUL_REQUIRE(twice == end, "resize table: slot " << twice->slot << " is named twice");
    // Blocks start in this order: the photo that takes longest should not start last.
    std::sort(tasks, end, [](const auto& a, const auto& b) {
        const int64_t pixels_a = int64_t{a.rows} * a.columns,
                      pixels_b = int64_t{b.rows} * b.columns;
        return pixels_a != pixels_b ? pixels_a > pixels_b : a.slot < b.slot;
    });
}

} // namespace yeoul

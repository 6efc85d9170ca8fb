#include "loader/decoders/rotate.h"

#include <algorithm>
#include <cstring>

namespace yeoul::loader {

// Upright (x, y) is stored at, for a photo stored as width x height (EXIF 2.32, 4.6.4 A):
//   2: (width-1-x, y)   3: (width-1-x, height-1-y)   4: (x, height-1-y)
//   5: (y, x)   6: (y, height-1-x)   7: (width-1-y, height-1-x)   8: (width-1-y, x)
bool RotatingSink::flips_columns() const {
    return orientation_ == 2 || orientation_ == 3 || orientation_ == 7 || orientation_ == 8;
}
bool RotatingSink::flips_rows() const {
    return orientation_ == 3 || orientation_ == 4 || orientation_ == 6 || orientation_ == 7;
}

Region RotatingSink::begin(int width, int height, ImageFormat format) {
    wanted_ =
        swaps_axes() ? target_.begin(height, width, format) : target_.begin(width, height, format);
    stored_ = wanted_;
    if (swaps_axes())
        stored_ = {wanted_.left, wanted_.right, wanted_.top, wanted_.bottom};
    if (flips_columns())
        stored_ = {stored_.top, stored_.bottom, width - stored_.right, width - stored_.left};
    if (flips_rows())
        stored_ = {height - stored_.bottom, height - stored_.top, stored_.left, stored_.right};
    pixels_.resize(size_t(stored_.bottom - stored_.top) * (stored_.right - stored_.left) * 3);
    return stored_;
}

void RotatingSink::row(int y, const uint8_t* rgb) {
    const size_t row_bytes = size_t(stored_.right - stored_.left) * 3;
    std::memcpy(&pixels_[row_bytes * (y - stored_.top)], rgb, row_bytes);
}

void RotatingSink::finish() {
    // Columns of the stored photo become rows; a few at a time, so that each cache line of the
    // stored photo is used whole.
    constexpr int kRowsAtOnce = 16;
    const int rows = wanted_.bottom - wanted_.top, columns = wanted_.right - wanted_.left;
    if (rows <= 0 || columns <= 0)
        return;
    const ptrdiff_t stored_row = ptrdiff_t{3} * (stored_.right - stored_.left);
    const ptrdiff_t across = flips_columns() ? -3 : 3;
    const ptrdiff_t down = flips_rows() ? -stored_row : stored_row;
    const ptrdiff_t step_x = swaps_axes() ? down : across, step_y = swaps_axes() ? across : down;
    const uint8_t* origin = pixels_.data() + (flips_columns() ? stored_row - 3 : 0) +
                            (flips_rows() ? (stored_.bottom - stored_.top - 1) * stored_row : 0);
    std::vector<uint8_t> upright(size_t(kRowsAtOnce) * columns * 3);
    for (int first = 0; first < rows; first += kRowsAtOnce) {
        const int count = std::min(kRowsAtOnce, rows - first);
        for (int x = 0; x < columns; ++x)
            for (int i = 0; i < count; ++i) {
                const uint8_t* from = origin + step_y * (first + i) + step_x * x;
                std::memcpy(&upright[(size_t(i) * columns + x) * 3], from, 3);
            }
        for (int i = 0; i < count; ++i)
            target_.row(wanted_.top + first + i, &upright[size_t(i) * columns * 3]);
    }
}

} // namespace yeoul::loader

// How many bytes an allocator may hold, and when it gives back before it asks for more.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>

namespace yeoul {

/// Pure books; the caller locks. Bytes are taken before upstream is asked, so that two threads
/// cannot pass the limit together, and returned when upstream has them again.
class Budget {
public:
    explicit Budget(size_t limit_bytes) : limit_(limit_bytes) {}

    bool take(size_t bytes) {
        if (bytes > limit_ || reserved_ > limit_ - bytes)
            return false;
        reserved_ += bytes;
        peak_ = std::max(peak_, reserved_);
        return true;
    }
    void put(size_t bytes) {
        assert(bytes <= reserved_);
        reserved_ -= bytes;
    }
    /// False, and nothing changes, when more is reserved.
    bool set_limit(size_t bytes) {
        if (bytes < reserved_)
            return false;
        limit_ = bytes;
        return true;
    }

    /// Idle bytes to give back before `bytes` more are asked for. Without this an arena that is
    /// replaced by a larger one is paid for twice. A 32nd of the whole may stay: below the 5 % that
    /// fragmentation may cost, and enough for images of changing size.
    size_t surplus(size_t idle_bytes, size_t bytes) const {
        const size_t keep = (reserved_ + bytes) / 32;
        return idle_bytes > keep ? idle_bytes - keep : 0;
    }

    size_t limit_bytes() const { return limit_; }
    size_t reserved_bytes() const { return reserved_; }
    size_t peak_bytes() const { return peak_; }

private:
    size_t limit_, reserved_ = 0, peak_ = 0;
};

} // namespace yeoul

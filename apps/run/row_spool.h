// Rows of floats on disk, so that a million vectors do not stand in memory until their number is
// known.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

namespace yeoul::run {

/// A nameless file in `folder`: it is gone when this is, whatever ends the process. Calls throw
/// `Error`, code `io`.
class RowSpool {
public:
    explicit RowSpool(const std::filesystem::path& folder);
    ~RowSpool();
    RowSpool(const RowSpool&) = delete;
    RowSpool& operator=(const RowSpool&) = delete;

    void add(std::span<const float> row);
    /// All rows, mapped; valid until this is gone. No `add` after it.
    std::span<const float> all();

private:
    void flush();
    [[noreturn]] void fail() const;
    std::filesystem::path folder_;
    int descriptor_ = -1;
    std::vector<float> pending_;
    size_t written_bytes_ = 0;
    void* mapping_ = nullptr;
};

} // namespace yeoul::run

// A read-only file in memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace yeoul::loader {

/// Maps a whole file. Throws `Error` (`not_found` when it cannot be opened, with the reason).
/// An empty file maps to an empty span.
class MappedFile {
public:
    explicit MappedFile(const std::filesystem::path& path);
    ~MappedFile();
    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&& other) noexcept;

    std::span<const std::byte> bytes() const { return {data_, size_}; }
    /// Tells the kernel that the pages wholly inside this range are not needed soon, so that a file
    /// being copied to a device does not count twice in the resident size.
    void drop(std::span<const std::byte> range) const noexcept;

private:
    const std::byte* data_ = nullptr;
    size_t size_ = 0;
};

} // namespace yeoul::loader

// A result file that is there whole or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace yeoul::loader {

/// Written beside the target under another name and renamed by `commit`; without it nothing is
/// left. What cannot be replaced by a rename is written to directly: devices, pipes, /dev/stdout.
/// A link is followed, and a file that is replaced keeps its permissions.
/// Every call but the destructor throws `Error`, code `io`, with the system's reason.
class OutputFile {
public:
    explicit OutputFile(std::filesystem::path file);
    ~OutputFile();
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;

    void write(std::span<const std::byte> bytes);
    void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
    void commit();

private:
    void open_beside();
    [[noreturn]] void fail(int error) const;

    std::filesystem::path file_;   // as the caller named it
    std::filesystem::path target_; // with links resolved
    std::filesystem::path beside_; // empty when written to directly
    int descriptor_ = -1;
};

} // namespace yeoul::loader

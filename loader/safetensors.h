// safetensors files: mapped, validated as a whole before the first tensor is handed out.
//
// Format: u64 little-endian N, N bytes of JSON, data. https://github.com/huggingface/safetensors
// What is refused (`Error`, code `model`, naming file and tensor): N beyond the file or 100 MB,
// JSON that is not an object of the right shape, duplicate names, unknown dtypes, sizes that are
// not shape x dtype, overflow, offsets out of range, holes, overlaps, bytes that no tensor covers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <yeoul/types.h>

#include "loader/mapped_file.h"

namespace yeoul::loader {

struct TensorInfo {
    std::string name;
    std::string dtype; // as in the file: "F32", "BF16", "I64"
    std::vector<int64_t> shape;
    std::span<const std::byte> data; // unaligned
};

/// One file or a sharded set, seen as one collection of tensors.
class Safetensors {
public:
    /// `Error`: `not_found` when it cannot be read, `model` as above.
    static Safetensors open_file(const std::filesystem::path& file);
    /// `model.safetensors`, else `model.safetensors.index.json` with its shards, else the only
    /// `*.safetensors`. A directory with only `pytorch_model.bin` is refused with the one-line
    /// converter. `Error`, code `model`.
    static Safetensors open_directory(const std::filesystem::path& directory);
    /// Validates one file image that the caller keeps alive. For tests and fuzzing.
    static Safetensors parse(std::span<const std::byte> bytes, const std::string& label);

    /// nullptr when absent.
    const TensorInfo* find(std::string_view name) const;
    /// Sorted by name.
    const std::map<std::string, TensorInfo, std::less<>>& tensors() const { return tensors_; }
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    const std::vector<std::filesystem::path>& files() const { return files_; }
    /// See `MappedFile::drop`.
    void drop(const TensorInfo& tensor) const noexcept;

private:
    static Safetensors open_shards(const std::filesystem::path& index);
    void add(std::span<const std::byte> bytes, const std::string& label);
    std::vector<std::shared_ptr<MappedFile>> mappings_;
    std::vector<std::filesystem::path> files_;
    std::map<std::string, TensorInfo, std::less<>> tensors_;
    std::map<std::string, std::string> metadata_;
};

/// A view of a float tensor (F32, F16, BF16) for the kernels' load path; rank at most 4. Throws
/// `Error`, code `model`, for other dtypes or extents above INT_MAX. `data` may be unaligned and is
/// read-only memory.
View view(const TensorInfo& tensor);

struct TensorToWrite {
    std::string name;
    std::string dtype;
    std::vector<int64_t> shape;
    std::span<const std::byte> data;
};
/// Writes a file that `open_file` accepts: header padded to 8 bytes, tensors in the order given.
/// Written beside `file` and renamed, so no half file is left. Bytes of names and metadata
/// that are not UTF-8 become U+FFFD. Throws `Error`: `io`, and `invalid_argument` for names that
/// occur twice, unknown dtypes and data that is not shape x dtype.
void write_safetensors(const std::filesystem::path& file, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

} // namespace yeoul::loader

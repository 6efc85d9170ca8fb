#include "apps/run/inputs.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>

#include "loader/image.h"

namespace yeoul::run {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostShards = 1'000'000; // times the number of photos, far from an overflow

bool has_known_extension(const fs::path& path) {
    std::string extension = path.extension().string();
    std::transform(extension.begin(), extension.end(), extension.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const auto known = loader::known_extensions();
    return std::find(known.begin(), known.end(), extension) != known.end();
}

bool inside(const fs::path& root, const fs::path& path) {
    const auto [end, at] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
    return end == root.end();
}

/// One folder given by the user.
class FolderScan {
public:
    explicit FolderScan(const fs::path& root) : root_(root) {
        std::error_code error;
        canonical_root_ = fs::canonical(root, error);
        list(root);
        std::sort(found_.begin(), found_.end(),
                  [](const Input& a, const Input& b) { return a.path < b.path; });
    }
    std::vector<Input> take() { return std::move(found_); }

private:
    void list(const fs::path& folder) {
        std::error_code error;
        fs::directory_iterator entries(folder, error);
        for (; !error && entries != fs::directory_iterator(); entries.increment(error))
            visit(*entries);
        if (error)
            found_.push_back(
                {folder.string(),
                 ItemError{ErrorCode::not_found,
                           "'" + folder.string() + "' cannot be listed: " + error.message()}});
    }

    void visit(const fs::directory_entry& entry) {
        std::error_code error;
        if (entry.is_symlink(error)) {
            // A link to a folder inside would give its photos twice.
            const fs::path target = fs::canonical(entry.path(), error);
            if (error || !fs::is_regular_file(target, error) || !inside(canonical_root_, target))
                return;
        } else if (entry.is_directory(error)) {
            return list(entry.path());
        } else if (!entry.is_regular_file(error)) {
            return; // a pipe with an image's name would block
        }
        if (has_known_extension(entry.path()))
            found_.push_back({entry.path().string(), std::nullopt});
    }

    fs::path root_, canonical_root_;
    std::vector<Input> found_;
};

void append(std::vector<Input>& inputs, const std::string& argument) {
    std::error_code error;
    if (!fs::is_directory(argument, error)) {
        inputs.push_back({argument, std::nullopt});
        return;
    }
    std::vector<Input> found = FolderScan(argument).take();
    std::move(found.begin(), found.end(), std::back_inserter(inputs));
}

// A photo, not a list that happens to start like one ("BM", "P6 "): lists hold no control
// characters but the separators, and no two NUL in a row.
bool is_photo(const std::string& text) {
    const std::string_view head = std::string_view(text).substr(0, 65536);
    const bool binary = head.find(std::string_view("\0\0", 2)) != head.npos ||
                        std::any_of(head.begin(), head.end(), [](char c) {
                            return c > '\0' && c < ' ' && c != '\n' && c != '\r' && c != '\t';
                        });
    const auto* bytes = reinterpret_cast<const uint8_t*>(head.data());
    return binary && loader::sniff({bytes, head.size()}) != loader::ImageFormat::unknown;
}

/// Paths separated by line ends, or by NUL when there is one (find -print0).
void append_list(std::vector<Input>& inputs, std::istream& list) {
    const std::string text{std::istreambuf_iterator<char>(list), std::istreambuf_iterator<char>()};
    YEOUL_REQUIRE(!is_photo(text), "stdin looks like a photo; '-' expects a list of paths");
    const bool lines = text.find('\0') == std::string::npos;
    for (size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
        end = std::min(text.find(lines ? '\n' : '\0', begin), text.size());
        std::string path = text.substr(begin, end - begin);
        if (lines && path.ends_with('\r'))
            path.pop_back();
        if (!path.empty())
            append(inputs, path);
    }
}

} // namespace

std::vector<Input> find_photos(const std::vector<std::string>& arguments, std::istream& list) {
    std::vector<Input> inputs;
    for (const std::string& argument : arguments) {
        if (argument == "-")
            append_list(inputs, list);
        else
            append(inputs, argument);
    }
    return inputs;
}

Shard parse_shard(const std::string& text, const std::string& label) {
    Shard shard;
    const char* end = text.data() + text.size();
    const auto index = std::from_chars(text.data(), end, shard.index);
    const bool slash = index.ec == std::errc() && index.ptr != end && *index.ptr == '/';
    const auto count = slash ? std::from_chars(index.ptr + 1, end, shard.count)
                             : std::from_chars_result{text.data(), std::errc::invalid_argument};
    YEOUL_REQUIRE(count.ec == std::errc() && count.ptr == end && shard.index >= 1 &&
                      shard.index <= shard.count && shard.count <= kMostShards,
                  label << " is '" << text
                        << "', must be I/N with I from 1 to N and N up to 1000000, as in 2/8");
    return shard;
}

std::vector<Input> take_shard(std::vector<Input> inputs, const Shard& shard) {
    const size_t begin = inputs.size() * (shard.index - 1) / shard.count;
    const size_t end = inputs.size() * shard.index / shard.count;
    return {std::make_move_iterator(inputs.begin() + static_cast<std::ptrdiff_t>(begin)),
            std::make_move_iterator(inputs.begin() + static_cast<std::ptrdiff_t>(end))};
}

} // namespace yeoul::run

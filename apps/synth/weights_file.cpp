#include "apps/synth/weights_file.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <sstream>
#include <thread>
#include <unistd.h>

#include <yeoul/error.h>

#include "apps/synth/draw.h"
#include "loader/narrow.h"

namespace yeoul::synth {
namespace {

// Elements that a thread draws before it writes: 1 MB of fp32, which stays in its cache.
constexpr int64_t kChunk = 256 * 1024;

struct Chunk {
    const TensorDraw* tensor;
    int64_t first, count; // elements
    int64_t offset;       // bytes from the start of the file
};

size_t element_bytes(WeightFormat format) {
    return format == WeightFormat::fp32 ? 4 : 2;
}

std::string_view dtype_name(WeightFormat format) {
    switch (format) {
    case WeightFormat::fp32:
        return "F32";
    case WeightFormat::fp16:
        return "F16";
    case WeightFormat::bf16:
        return "BF16";
    }
    return "?";
}

/// The eight length bytes and the JSON, padded so that the data starts at a multiple of 8.
std::string header(const std::vector<TensorDraw>& tensors, const DirectoryOptions& options) {
    std::ostringstream json;
    json << "{\"__metadata__\":{\"format\":\"pt\",\"generator\":\"yeoul synth 1\",\"arch\":\""
         << options.label << "\",\"seed\":\"" << options.seed << "\"}";
    int64_t offset = 0;
    for (const TensorDraw& tensor : tensors) {
        json << ",\"" << tensor.name << "\":{\"dtype\":\"" << dtype_name(options.format)
             << "\",\"shape\":[";
        for (size_t axis = 0; axis < tensor.shape.size(); ++axis)
            json << (axis ? "," : "") << tensor.shape[axis];
        const int64_t end =
            offset + tensor.elements() * static_cast<int64_t>(element_bytes(options.format));
        json << "],\"data_offsets\":[" << offset << ',' << end << "]}";
        offset = end;
    }
    json << '}';
    std::string text = json.str();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    std::string bytes(8, '\0');
    for (int byte = 0; byte < 8; ++byte)
        bytes[byte] = static_cast<char>(static_cast<uint64_t>(text.size()) >> (8 * byte));
    return bytes + text;
}

void draw(const Chunk& chunk, uint64_t seed, std::vector<float>& values) {
    const TensorDraw& tensor = *chunk.tensor;
    const Draws draws(seed, tensor.name);
    values.resize(chunk.count);
    for (int64_t i = 0; i < chunk.count; ++i)
        values[i] = static_cast<float>(tensor.mean + tensor.sd * draws(chunk.first + i));
    auto inside = [&](int64_t element) {
        return element >= chunk.first && element < chunk.first + chunk.count;
    };
    for (auto [element, factor] : tensor.scaled)
        if (inside(element))
            values[element - chunk.first] *= static_cast<float>(factor);
    for (auto [element, value] : tensor.planted)
        if (inside(element))
            values[element - chunk.first] = static_cast<float>(value);
}

/// The bytes of `values` in `format`; `narrow` holds them when they are not the floats themselves.
std::pair<const char*, size_t> bytes_of(const std::vector<float>& values, WeightFormat format,
                                        std::vector<uint16_t>& narrow) {
    if (format == WeightFormat::fp32)
        return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
    narrow.resize(values.size());
    std::transform(values.begin(), values.end(), narrow.begin(),
                   format == WeightFormat::fp16 ? loader::to_fp16 : loader::to_bf16);
    return {reinterpret_cast<const char*>(narrow.data()), narrow.size() * sizeof(uint16_t)};
}

class OutputFile {
public:
    explicit OutputFile(const std::filesystem::path& path)
        : path_(path),
          descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)) {
        if (descriptor_ < 0)
            fail();
    }
    ~OutputFile() { ::close(descriptor_); }
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;

    void write_at(const char* bytes, size_t size, int64_t offset) const {
        while (size > 0) {
            const ssize_t written = ::pwrite(descriptor_, bytes, size, offset);
            if (written < 0 && errno == EINTR)
                continue;
            if (written <= 0)
                fail();
            bytes += written;
            size -= static_cast<size_t>(written);
            offset += written;
        }
    }

private:
    [[noreturn]] void fail() const {
        throw Error(ErrorCode::io,
                    "'" + path_.string() + "' cannot be written: " + std::strerror(errno));
    }
    std::filesystem::path path_;
    int descriptor_;
};

} // namespace

int64_t write_weights_file(const std::vector<TensorDraw>& tensors, const DirectoryOptions& options,
                           const std::filesystem::path& path) {
    const std::string head = header(tensors, options);
    const auto width = static_cast<int64_t>(element_bytes(options.format));
    std::vector<Chunk> chunks;
    auto offset = static_cast<int64_t>(head.size());
    for (const TensorDraw& tensor : tensors) {
        const int64_t elements = tensor.elements();
        for (int64_t first = 0; first < elements; first += kChunk) {
            const int64_t count = std::min(kChunk, elements - first);
            chunks.push_back({&tensor, first, count, offset});
            offset += count * width;
        }
    }
    const OutputFile file(path);
    file.write_at(head.data(), head.size(), 0);

    std::atomic<size_t> next = 0;
    std::mutex mutex;
    std::exception_ptr failure;
    auto work = [&] {
        std::vector<float> values;
        std::vector<uint16_t> narrow;
        try {
            for (size_t index = next++; index < chunks.size(); index = next++) {
                if (options.stop.stop_requested())
                    throw Error(ErrorCode::cancelled, "stopped; nothing was written");
                draw(chunks[index], options.seed, values);
                const auto [bytes, size] = bytes_of(values, options.format, narrow);
                file.write_at(bytes, size, chunks[index].offset);
            }
        } catch (...) {
            next = chunks.size();
            const std::lock_guard lock(mutex);
            failure = std::current_exception();
        }
    };
    {
        std::vector<std::jthread> workers;
        for (int i = 0; i < std::max(1, options.threads); ++i)
            workers.emplace_back(work);
    }
    if (failure)
        std::rethrow_exception(failure);
    return offset;
}

} // namespace yeoul::synth

#include "apps/run/row_spool.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include <yeoul/error.h>

namespace yeoul::run {
namespace {

constexpr size_t kPendingFloats = 64 * 1024;

} // namespace

RowSpool::RowSpool(const std::filesystem::path& folder)
    : folder_(folder.empty() ? std::filesystem::path(".") : folder) {
    std::string name = (folder_ / ".yeoul-rows-XXXXXX").string();
    descriptor_ = ::mkstemp(name.data());
    if (descriptor_ < 0)
        fail();
    ::unlink(name.c_str());
}

RowSpool::~RowSpool() {
    if (mapping_)
        ::munmap(mapping_, written_bytes_);
    if (descriptor_ >= 0)
        ::close(descriptor_);
}

void RowSpool::fail() const {
    throw Error(ErrorCode::io, "folder '" + folder_.string() + "' takes no file: " +
                                   std::strerror(errno) + "; name an --output that can be written");
}

void RowSpool::add(std::span<const float> row) {
    pending_.insert(pending_.end(), row.begin(), row.end());
    if (pending_.size() >= kPendingFloats)
        flush();
}

void RowSpool::flush() {
    const char* bytes = reinterpret_cast<const char*>(pending_.data());
    size_t left = pending_.size() * sizeof(float);
    while (left > 0) {
        const ssize_t written = ::write(descriptor_, bytes, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            fail();
        bytes += written;
        left -= static_cast<size_t>(written);
        written_bytes_ += static_cast<size_t>(written);
    }
    pending_.clear();
}

std::span<const float> RowSpool::all() {
    flush();
    if (written_bytes_ == 0)
        return {};
    mapping_ = ::mmap(nullptr, written_bytes_, PROT_READ, MAP_SHARED, descriptor_, 0);
    if (mapping_ == MAP_FAILED) {
        mapping_ = nullptr;
        fail();
    }
    return {static_cast<const float*>(mapping_), written_bytes_ / sizeof(float)};
}

} // namespace yeoul::run

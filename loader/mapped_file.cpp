#include "loader/mapped_file.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include <yeoul/error.h>

namespace yeoul::loader {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& reason) {
    throw Error(ErrorCode::not_found, "cannot read " + path.string() + ": " + reason);
}

class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0)
            ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }

private:
    int fd_;
};

} // namespace

MappedFile::MappedFile(const std::filesystem::path& path) {
    // O_NONBLOCK: a named pipe without a writer is refused below instead of blocking here.
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() < 0)
        fail(path, std::generic_category().message(errno));
    struct stat status {};
    if (::fstat(file.get(), &status) != 0)
        fail(path, std::generic_category().message(errno));
    if (S_ISDIR(status.st_mode))
        fail(path, "it is a directory, give a file");
    if (!S_ISREG(status.st_mode))
        fail(path, "it is not a regular file");
    if (status.st_size == 0)
        return; // mmap refuses a length of 0
    const auto size = static_cast<size_t>(status.st_size);
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (address == MAP_FAILED)
        fail(path, std::generic_category().message(errno));
    data_ = static_cast<const std::byte*>(address);
    size_ = size;
}

MappedFile::~MappedFile() {
    if (data_ != nullptr)
        ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

void MappedFile::drop(std::span<const std::byte> range) const noexcept {
    if (data_ == nullptr || range.data() < data_ || range.data() > data_ + size_)
        return;
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    const auto offset = static_cast<size_t>(range.data() - data_);
    const size_t end = std::min(offset + range.size(), size_);
    const size_t first = (offset + page - 1) / page * page;
    const size_t last = end / page * page;
    if (first < last) // the pages come back from the file when they are read again
        ::madvise(const_cast<std::byte*>(data_) + first, last - first, MADV_DONTNEED);
}

} // namespace yeoul::loader

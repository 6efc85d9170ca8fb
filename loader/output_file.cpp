#include "loader/output_file.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <yeoul/error.h>

namespace yeoul::loader {
namespace {

namespace fs = std::filesystem;

// N of /dev/fd/N, /dev/stdout, ...; -1 for other names. Opening such a name again would start at
// offset 0 of a file that the shell redirects to.
int named_descriptor(const std::string& name) {
    if (name == "/dev/stdout")
        return STDOUT_FILENO;
    if (name == "/dev/stderr")
        return STDERR_FILENO;
    for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
        int number = -1;
        const char* end = name.data() + name.size();
        if (name.size() > folder.size() && name.compare(0, folder.size(), folder) == 0 &&
            std::from_chars(name.data() + folder.size(), end, number).ptr == end)
            return number;
    }
    return -1;
}

// The file that a chain of links names, which need not exist yet.
fs::path follow_links(fs::path file) {
    constexpr int kMaxLinks = 40; // the kernel's limit
    std::error_code error;
    for (int links = 0; links < kMaxLinks && fs::is_symlink(file, error); ++links) {
        const fs::path next = fs::read_symlink(file, error);
        if (error)
            break;
        file = file.parent_path() / next; // an absolute `next` replaces the whole
    }
    return file;
}

} // namespace

OutputFile::OutputFile(fs::path file) : file_(std::move(file)), target_(follow_links(file_)) {
    const int known = named_descriptor(file_.string());
    struct stat status {};
    const bool exists = ::stat(file_.c_str(), &status) == 0;
    if (known >= 0)
        descriptor_ = ::fcntl(known, F_DUPFD_CLOEXEC, 0);
    else if (exists && S_ISDIR(status.st_mode))
        fail(EISDIR);
    else if (exists && !S_ISREG(status.st_mode))
        descriptor_ = ::open(file_.c_str(), O_WRONLY | O_CLOEXEC);
    else
        open_beside();
    if (descriptor_ < 0)
        fail(errno);
    if (exists && !beside_.empty())
        ::fchmod(descriptor_, status.st_mode & 07777); // best effort: the content matters more
}

void OutputFile::open_beside() {
    // A short name of its own, so that a target name of the greatest length works too.
    const fs::path folder = target_.parent_path();
    for (int attempt = 0; attempt < 1000; ++attempt) {
        beside_ = folder /
                  (".yeoul-" + std::to_string(::getpid()) + "-" + std::to_string(attempt) + ".tmp");
        descriptor_ = ::open(beside_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor_ >= 0 || errno != EEXIST)
            return;
    }
}

OutputFile::~OutputFile() {
    if (descriptor_ >= 0)
        ::close(descriptor_);
    if (!beside_.empty())
        ::unlink(beside_.c_str());
}

void OutputFile::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        constexpr size_t kMost = size_t{1} << 30; // the kernel takes at most 2 GB at once
        const ssize_t written = ::write(descriptor_, bytes.data(), std::min(bytes.size(), kMost));
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            fail(errno);
        bytes = bytes.subspan(static_cast<size_t>(written));
    }
}

void OutputFile::commit() {
    // Some file systems report a full disk only here.
    if (::close(std::exchange(descriptor_, -1)) != 0)
        fail(errno);
    if (beside_.empty())
        return;
    if (::rename(beside_.c_str(), target_.c_str()) != 0)
        fail(errno);
    beside_.clear();
}

void OutputFile::fail(int error) const {
    throw Error(ErrorCode::io,
                "cannot write " + file_.string() + ": " + std::generic_category().message(error));
}

} // namespace yeoul::loader

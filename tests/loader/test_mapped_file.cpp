#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "loader/mapped_file.h"
#include "tests/loader/file_helpers.h"
#include "tests/loader/safetensors_image.h"

namespace yeoul::loader {
namespace {

std::string mapping_refusal(const std::filesystem::path& path) {
    return error_of(ErrorCode::not_found, [&] { MappedFile file(path); });
}

TEST_CASE("mapped file: shows the bytes, also after a move and after the name is gone") {
    const ScratchDirectory scratch;
    MappedFile first(put_file(scratch / "a", "photo"));
    MappedFile second(put_file(scratch / "b", "other"));
    std::filesystem::remove(scratch / "a");
    MappedFile moved(std::move(first));
    CHECK(text_of(moved.bytes()) == "photo");
    moved = std::move(second);
    CHECK(text_of(moved.bytes()) == "other");
}

TEST_CASE("mapped file: an empty file is an empty span") {
    const ScratchDirectory scratch;
    const MappedFile file(put_file(scratch / "empty", ""));
    CHECK(file.bytes().empty());
    file.drop(file.bytes());
}

TEST_CASE("mapped file: what cannot be mapped is refused with the reason") {
    const ScratchDirectory scratch;
    CHECK(lacks(mapping_refusal(scratch / "none"), "none: No such file or directory") == "");
    CHECK(lacks(mapping_refusal(scratch.path()), "it is a directory") == "");
    REQUIRE(::mkfifo((scratch / "pipe").c_str(), 0600) == 0);
    CHECK(lacks(mapping_refusal(scratch / "pipe"), "not a regular file") == "");
    std::filesystem::create_symlink("loop", scratch / "loop");
    CHECK(lacks(mapping_refusal(scratch / "loop"), "Too many levels") == "");
}

TEST_CASE("mapped file: one without permission is refused, to root in another's place, too") {
    const ScratchDirectory scratch;
    put_file(scratch / "secret", "x");
    std::filesystem::permissions(scratch / "secret", std::filesystem::perms::none);
    std::filesystem::permissions(scratch.path(), std::filesystem::perms(0755));
    const bool root = ::geteuid() == 0;
    if (root) // opens files as nobody, this thread alone
        ::setfsuid(65534);
    if (::setfsuid(uid_t(-1)) == 0)
        MESSAGE("skipped: this root may not act as another user");
    else
        CHECK(lacks(mapping_refusal(scratch / "secret"), "secret: Permission denied") == "");
    if (root)
        ::setfsuid(0);
}

TEST_CASE("mapped file: drop takes whole pages of the range out of memory and nothing else") {
    const ScratchDirectory scratch;
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    const std::string content(4 * page, 'x');
    const MappedFile file(put_file(scratch / "pages", content));
    CHECK(text_of(file.bytes()) == content);

    // Which pages stand in this process: bit 63 of each word of its page table.
    const int table = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    REQUIRE(table >= 0);
    const auto resident = [&] {
        std::string pages;
        for (size_t i = 0; i < 4; ++i) {
            const auto address = reinterpret_cast<uintptr_t>(file.bytes().data()) + i * page;
            uint64_t word = 0;
            const auto offset = static_cast<off_t>(address / page * sizeof word);
            REQUIRE(::pread(table, &word, sizeof word, offset) == sizeof word);
            pages += (word >> 63) != 0 ? "y" : "n";
        }
        return pages;
    };
    CHECK(resident() == "yyyy");
    file.drop(file.bytes().subspan(1, 3 * page - 2)); // whole pages inside: only the second
    CHECK(resident() == "ynyy");
    const std::byte elsewhere[3]{};
    file.drop(elsewhere);
    CHECK(text_of(file.bytes()) == content);
    ::close(table);
}

} // namespace
} // namespace yeoul::loader

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "loader/output_file.h"
#include "tests/loader/file_helpers.h"

namespace yeoul::loader {
namespace {

namespace fs = std::filesystem;

void write_all(const fs::path& file, std::string_view text) {
    OutputFile output(file);
    output.write(text);
    output.commit();
}

TEST_CASE("output file: the old content stands until commit, and nothing else is left") {
    const ScratchDirectory scratch;
    const auto path = put_file(scratch / "out", "old");
    {
        OutputFile output(path);
        output.write("new");
        CHECK(file_content(path) == "old");
        CHECK(scratch.entries() == 2);
        output.commit();
    }
    CHECK(file_content(path) == "new");
    CHECK(scratch.entries() == 1);
}

TEST_CASE("output file: without commit the target is untouched and the other name gone") {
    const ScratchDirectory scratch;
    { OutputFile(scratch / "out").write("half"); }
    CHECK(scratch.entries() == 0);
}

TEST_CASE("output file: several writers of one folder do not meet") {
    const ScratchDirectory scratch;
    OutputFile first(scratch / "a"), second(scratch / "b"), third(scratch / "a");
    first.write("1");
    second.write("2");
    third.write("3");
    first.commit();
    second.commit();
    third.commit();
    CHECK(file_content(scratch / "a") == "3");
    CHECK(file_content(scratch / "b") == "2");
    CHECK(scratch.entries() == 2);
}

TEST_CASE("output file: permissions of a replaced file and the mask for a new one are kept") {
    const ScratchDirectory scratch;
    put_file(scratch / "old", "");
    REQUIRE(::chmod((scratch / "old").c_str(), 0640) == 0);
    write_all(scratch / "old", "x");
    CHECK(fs::status(scratch / "old").permissions() == fs::perms(0640));
    put_file(scratch / "plain", "");
    write_all(scratch / "new", "x");
    CHECK(fs::status(scratch / "new").permissions() == fs::status(scratch / "plain").permissions());
}

TEST_CASE("output file: a link is followed, also to a file that is not there yet") {
    const ScratchDirectory scratch;
    fs::create_directory(scratch / "folder");
    fs::create_symlink("folder/file", scratch / "link");
    write_all(scratch / "link", "one");
    write_all(scratch / "link", "two");
    CHECK(fs::is_symlink(scratch / "link"));
    CHECK(file_content(scratch / "folder" / "file") == "two");
}

TEST_CASE("output file: a name of the greatest length works") {
    const ScratchDirectory scratch;
    const std::string name(255, 'n');
    write_all(scratch / name, "x");
    CHECK(file_content(scratch / name) == "x");
}

TEST_CASE("output file: a pipe is written to directly") {
    const ScratchDirectory scratch;
    const auto pipe = scratch / "pipe";
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    std::string received;
    std::thread reader([&] { received = file_content(pipe); });
    write_all(pipe, "through");
    reader.join();
    CHECK(received == "through");
    CHECK(scratch.entries() == 1);
}

TEST_CASE("output file: /dev/fd/N goes on where that descriptor stands") {
    const ScratchDirectory scratch;
    const auto path = scratch / "log";
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
    REQUIRE(::write(descriptor, "before ", 7) == 7);
    write_all("/dev/fd/" + std::to_string(descriptor), "result");
    REQUIRE(::write(descriptor, " after", 6) == 6);
    ::close(descriptor);
    CHECK(file_content(path) == "before result after");
}

TEST_CASE("output file: what cannot be written gives one sentence with the system's reason") {
    const ScratchDirectory scratch;
    const auto message = [](const fs::path& path) {
        return error_of(ErrorCode::io, [&] { write_all(path, "x"); });
    };
    CHECK(lacks(message(scratch / "none/out"), "none/out: No such file or directory") == "");
    CHECK(lacks(message(scratch.path()), "Is a directory") == "");
    put_file(scratch / "file", "");
    CHECK(lacks(message(scratch / "file/out"), "Not a directory") == "");
    CHECK(lacks(message("/dev/full"), "cannot write /dev/full: No space left on device") == "");
    CHECK(lacks(message("/dev/fd/987"), "Bad file descriptor") == "");
    CHECK(lacks(message(scratch / std::string(256, 'n')), "File name too long") == "");
    CHECK(scratch.entries() == 1);
}

} // namespace
} // namespace yeoul::loader

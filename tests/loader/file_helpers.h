// A folder that is gone after the test, whole files as strings, and the message of an error.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include <yeoul/error.h>

#include "tests/support/temporary_directory.h"

namespace yeoul::loader {

class ScratchDirectory : public test::TemporaryDirectory {
public:
    std::filesystem::path operator/(const std::string& name) const { return path() / name; }
    size_t entries() const {
        const std::filesystem::directory_iterator all(path());
        return static_cast<size_t>(std::distance(begin(all), end(all)));
    }
};

inline std::filesystem::path put_file(const std::filesystem::path& file, std::string_view content) {
    std::ofstream(file, std::ios::binary) << content;
    return file;
}

inline std::string file_content(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    REQUIRE(stream.good());
    return {std::istreambuf_iterator<char>(stream), {}};
}

/// Runs `call`, which must throw an `Error` of this code, and gives its message.
template <class Call>
std::string error_of(ErrorCode code, Call&& call) {
    try {
        call();
    } catch (const Error& error) {
        CHECK_MESSAGE(error.code() == code, error.what());
        return error.what();
    }
    FAIL_CHECK("no error was thrown");
    return "";
}

/// "" when `message` holds `part`; else both, to be read in the report.
inline std::string lacks(const std::string& message, std::string_view part) {
    if (message.find(part) != std::string::npos)
        return "";
    return "<" + std::string(part) + "> is not in <" + message + ">";
}

} // namespace yeoul::loader

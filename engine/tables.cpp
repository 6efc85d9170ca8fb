#include "engine/tables.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <yeoul/error.h>

#include "loader/output_file.h"

namespace yeoul {
namespace {

std::filesystem::path cache_folder() {
    const auto named = [](const char* variable) {
        const char* text = std::getenv(variable);
        return std::filesystem::path(text ? text : "");
    };
    if (const auto folder = named("YEOUL_CACHE_DIR"); !folder.empty())
        return folder;
    if (const auto folder = named("XDG_CACHE_HOME"); !folder.empty())
        return folder / "yeoul";
    if (const auto folder = named("HOME"); !folder.empty())
        return folder / ".cache" / "yeoul";
    return {};
}

} // namespace

std::filesystem::path table_path(const std::string& name) {
    const std::filesystem::path folder = cache_folder();
    return folder.empty() ? folder : folder / (name + ".txt");
}

std::string read_table(const std::string& name) {
    std::ifstream file(table_path(name));
    std::ostringstream text;
    if (file)
        text << file.rdbuf();
    return text.str();
}

void write_table(const std::string& name, const std::string& text) {
    const std::filesystem::path path = table_path(name);
    if (path.empty())
        throw Error(ErrorCode::io, "there is no folder for the table: set YEOUL_CACHE_DIR");
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    if (error)
        throw Error(ErrorCode::io, "cannot make '" + path.parent_path().string() +
                                       "': " + error.message() + "; set YEOUL_CACHE_DIR");
    loader::OutputFile file(path);
    file.write(text);
    file.commit();
}

} // namespace yeoul

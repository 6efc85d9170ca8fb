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

std::string file_words(const std::string& name) {
    std::string words;
    for (const char c : name) {
        const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        if ((lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9'))
            words += lower;
        else if (!words.empty() && words.back() != '-')
            words += '-';
    }
    if (words.ends_with('-'))
        words.pop_back();
    return words;
}

std::string gemm_table_name(const std::string& isa, const std::string& device_name) {
    return "gemm-" + isa + "-" + file_words(device_name);
}

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

int remove_tables(const std::string& beginning, const std::string& part) {
    int removed = 0;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(cache_folder(), none)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with(beginning) && name.find(part) != name.npos)
            removed += std::filesystem::remove(entry.path(), none) ? 1 : 0;
    }
    return removed;
}

} // namespace yeoul

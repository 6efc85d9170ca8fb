#include "apps/cli/label_flags.h"

#include <algorithm>
#include <fstream>

#include <yeoul/error.h>

namespace yeoul::cli {
namespace {

std::string trimmed(std::string_view text) {
    const size_t first = text.find_first_not_of(" \t\r");
    if (first == text.npos)
        return "";
    return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    for (size_t end = 0; end != text.npos; text.remove_prefix(std::min(end + 1, text.size()))) {
        end = text.find(separator);
        parts.push_back(trimmed(text.substr(0, end)));
    }
    return parts;
}

} // namespace

void LabelFlags::add(Command& command) {
    command.text("labels", "A,B,...", "what to choose from, separated by commas", labels)
        .text("labels-file", "FILE", "the same, one label a line", file)
        .text("template", "TEXT", "what a label is put into, at {} (default: \"a photo of a {}\")",
              form)
        .exclusive({"labels", "labels-file"});
}

Labels LabelFlags::read() const {
    YEOUL_REQUIRE(labels.empty() != file.empty(),
                  "give either --labels \"red circle,blue square\" or --labels-file FILE");
    Labels read{.names = {}, .templates = {form}};
    if (!labels.empty()) {
        read.names = split(labels, ',');
        return read;
    }
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);)
        if (std::string label = trimmed(line); !label.empty())
            read.names.push_back(std::move(label));
    if (!in.eof())
        throw Error(ErrorCode::io, "--labels-file '" + file + "' cannot be read");
    return read;
}

} // namespace yeoul::cli

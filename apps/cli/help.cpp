#include "apps/cli/help.h"

#include <sstream>

namespace yeoul::cli {
namespace {

constexpr size_t kLeft = 32, kWidth = 100;

} // namespace

void HelpText::line(const std::string& text) {
    text_ += text + '\n';
}

void HelpText::heading(const std::string& text) {
    text_ += '\n' + text + '\n';
}

void HelpText::entry(const std::string& left, const std::string& right) {
    text_ += "  " + left;
    size_t column = left.size() + 2;
    if (column + 2 > kLeft) {
        text_ += '\n';
        column = 0;
    }
    text_.append(kLeft - column, ' ');
    column = kLeft;
    std::istringstream words(right);
    for (std::string word; words >> word;) {
        if (column > kLeft && column + 1 + word.size() > kWidth) {
            text_ += '\n' + std::string(kLeft, ' ');
            column = kLeft;
        }
        if (column > kLeft) {
            text_ += ' ';
            ++column;
        }
        text_ += word;
        column += word.size();
    }
    text_ += '\n';
}

void HelpText::verbatim(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
        text_ += "  " + line + '\n';
}

} // namespace yeoul::cli

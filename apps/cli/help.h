// The text of --help: two columns, wrapped.
#pragma once

#include <string>

namespace yeoul::cli {

class HelpText {
public:
    void line(const std::string& text);
    void heading(const std::string& text); // after an empty line
    /// `left`, indented, and `right` wrapped beside it.
    void entry(const std::string& left, const std::string& right);
    void verbatim(const std::string& text); // indented
    const std::string& text() const { return text_; }

private:
    std::string text_;
};

} // namespace yeoul::cli

// Text tables: a record a line, words apart by blanks, # to the end of a line is a comment.
#pragma once

#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>

namespace yeoul::loader {

/// Does not own the text.
class LineReader {
public:
    explicit LineReader(std::string_view text) : text_(text) {}

    /// Goes to the next line that says something; false at the end.
    bool next() {
        while (!text_.empty()) {
            const size_t end = std::min(text_.find('\n'), text_.size());
            line_ = text_.substr(0, end);
            text_.remove_prefix(std::min(end + 1, text_.size()));
            ++number_;
            rest_ = line_.substr(0, line_.find('#'));
            skip_blanks();
            if (!rest_.empty())
                return true;
        }
        return false;
    }
    int number() const { return number_; } // from 1
    std::string_view line() const { return line_; }

    /// The next word as it is; empty at the end of the line.
    std::string_view word() {
        const std::string_view word = rest_.substr(0, rest_.find_first_of(kBlanks));
        rest_.remove_prefix(word.size());
        skip_blanks();
        return word;
    }
    /// The next word, all of it, as a number. False, and `into` is then of no use, when it is none.
    template <class Number>
    bool read(Number& into) {
        const std::string_view text = word();
        const char* end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, into);
        return error == std::errc() && stop == end;
    }
    bool at_end() const { return rest_.empty(); }

private:
    static constexpr std::string_view kBlanks = " \t\r";

    void skip_blanks() {
        rest_.remove_prefix(std::min(rest_.find_first_not_of(kBlanks), rest_.size()));
    }

    std::string_view text_, line_, rest_;
    int number_ = 0;
};

} // namespace yeoul::loader

#include "kernels/cuda/gemm_table.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <yeoul/error.h>

#include "kernels/cuda/gemm_library.h"

namespace yeoul::cuda {
namespace {

constexpr std::string_view kHeading = "yeoul-gemm-table 1";
constexpr std::string_view kColumns[] = {"# sm",  "library", "rows",   "columns",
                                         "inner", "end",     "choice", "microseconds"};
constexpr std::string_view kPredicted = "predicted"; // in place of microseconds
constexpr std::string_view kAccumulate = "accumulate";
constexpr size_t kWords = std::size(kColumns); // of a row, at least

struct End {
    Activation activation;
    std::string_view word;
};
constexpr End kEnds[] = {{Activation::none, "none"},
                         {Activation::quick_gelu, "quick_gelu"},
                         {Activation::gelu, "gelu"},
                         {Activation::gelu_tanh, "gelu_tanh"},
                         {Activation::relu, "relu"}};

std::string end_word(const GemmShape& shape) {
    if (shape.accumulate)
        return std::string(kAccumulate);
    for (const End& end : kEnds)
        if (end.activation == shape.activation)
            return std::string(end.word);
    return "?";
}

std::string fixed(double value) {
    std::array<char, 64> text;
    const auto end =
        std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed, 2);
    return {text.data(), end.ptr};
}

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
    std::vector<std::string_view> parts;
    for (size_t start = 0; (start = text.find_first_not_of(separators, start)) != text.npos;) {
        const size_t end = std::min(text.find_first_of(separators, start), text.size());
        parts.push_back(text.substr(start, end - start));
        start = end;
    }
    return parts;
}

// One line, and what is wrong with it.
class Line {
public:
    Line(int number, std::string_view text) : number_(number), words_(split(text, " \t\r")) {}
    const std::vector<std::string_view>& words() const { return words_; }

    [[noreturn]] void refuse(const std::string& cause) const {
        throw Error(ErrorCode::invalid_argument,
                    "gemm table, line " + std::to_string(number_) + ": " + cause);
    }
    int positive(const char* what, std::string_view word) const {
        int value = 0;
        const auto end = std::from_chars(word.data(), word.data() + word.size(), value);
        if (end.ec != std::errc() || end.ptr != word.data() + word.size() || value < 1)
            refuse(std::string(what) + " is '" + std::string(word) +
                   "', must be a whole number of at least 1");
        return value;
    }
    GemmChoice choice(std::string_view word) const {
        if (word == "library")
            return {true, {}};
        const size_t slash = std::min(word.find('/'), word.size());
        const std::string_view name = word.substr(0, slash);
        for (size_t tile = 0; tile < kGemmTiles.size(); ++tile) {
            if (name != kGemmTiles[tile].name)
                continue;
            const int splits =
                slash == word.size() ? 1 : positive("the split", word.substr(slash + 1));
            return {false, {static_cast<int>(tile), splits}};
        }
        std::string known = "library";
        for (const GemmTile& tile : kGemmTiles)
            known += std::string(", ") + tile.name;
        refuse("choice '" + std::string(word) + "' is not known; known are " + known +
               ", a tile may end in /splits");
    }
    void end(std::string_view word, GemmShape& shape) const {
        shape.accumulate = word == kAccumulate;
        if (shape.accumulate)
            return;
        for (const End& end : kEnds)
            if (end.word == word) {
                shape.activation = end.activation;
                return;
            }
        refuse("end '" + std::string(word) +
               "' is not known; known are none, quick_gelu, gelu, gelu_tanh, relu, accumulate");
    }
    GemmTable::Candidate candidate(std::string_view word) const {
        const size_t equals = std::min(word.find('='), word.size());
        GemmTable::Candidate made{choice(word.substr(0, equals)), 0};
        const std::string_view us = word.substr(std::min(equals + 1, word.size()));
        const auto end =
            std::from_chars(us.data(), us.data() + us.size(), made.us, std::chars_format::fixed);
        // The first test also refuses NaN.
        if (!(made.us >= 0 && made.us < 1e9) || end.ec != std::errc() ||
            end.ptr != us.data() + us.size())
            refuse("microseconds are '" + std::string(word) + "', must be choice=number");
        return made;
    }

private:
    int number_;
    std::vector<std::string_view> words_;
};

bool same_key(const GemmTable::Row& a, const GemmTable::Row& b) {
    return a.sm == b.sm && a.library == b.library && a.shape == b.shape;
}

GemmTable::Row parse_row(const Line& line) {
    const auto& words = line.words();
    if (words.size() < kWords)
        line.refuse(std::to_string(words.size()) + " words, must be at least " +
                    std::to_string(kWords) +
                    ": sm library rows columns inner end choice microseconds");
    GemmTable::Row row;
    row.sm = line.positive("sm", words[0]);
    row.library = words[1];
    row.shape.rows = line.positive("rows", words[2]);
    row.shape.columns = line.positive("columns", words[3]);
    row.shape.inner = line.positive("inner", words[4]);
    line.end(words[5], row.shape);
    row.choice = line.choice(words[6]);
    if (row.choice.library && row.library == "none")
        line.refuse("the choice is the library, and there is none");
    const int steps = divide_up(row.shape.inner, kGemmInner);
    if (row.choice.own.splits > kMaxSplits)
        line.refuse("the split over " + std::to_string(row.choice.own.splits) + " is over " +
                    std::to_string(kMaxSplits));
    // Splits that leave one without work would add what was never written.
    if (const int splits = row.choice.own.splits;
        splits > steps || divide_up(steps, divide_up(steps, splits)) != splits)
        line.refuse("the split of " + std::to_string(steps) + " steps over " +
                    std::to_string(splits) + " leaves some without work");
    if (words.size() == kWords && words.back() == kPredicted)
        return row;
    for (size_t i = kWords - 1; i < words.size(); ++i)
        row.measured.push_back(line.candidate(words[i]));
    if (std::none_of(row.measured.begin(), row.measured.end(),
                     [&](const auto& candidate) { return candidate.choice == row.choice; }))
        line.refuse("the choice " + to_word(row.choice) + " was not measured");
    return row;
}

std::vector<std::string> words_of(const GemmTable::Row& row) {
    std::string us;
    for (const GemmTable::Candidate& candidate : row.measured)
        us += (us.empty() ? "" : " ") + to_word(candidate.choice) + "=" + fixed(candidate.us);
    return {std::to_string(row.sm),
            row.library,
            std::to_string(row.shape.rows),
            std::to_string(row.shape.columns),
            std::to_string(row.shape.inner),
            end_word(row.shape),
            to_word(row.choice),
            us.empty() ? std::string(kPredicted) : us};
}

} // namespace

std::string to_word(const GemmChoice& choice) {
    if (choice.library)
        return "library";
    const std::string tile = kGemmTiles[choice.own.tile].name;
    return choice.own.splits == 1 ? tile : tile + "/" + std::to_string(choice.own.splits);
}

std::string GemmMachine::library_name() const {
    return library == nullptr ? "none" : library->name();
}

GemmTable GemmTable::parse(std::string_view text) {
    std::vector<Row> rows;
    bool headed = false;
    int number = 0;
    while (!text.empty()) {
        const size_t length = std::min(text.find('\n'), text.size());
        const Line line(++number, text.substr(0, length));
        const bool is_heading = split(text.substr(0, length), "\r") == split(kHeading, "\r");
        text.remove_prefix(std::min(length + 1, text.size()));
        if (!headed) {
            if (!is_heading)
                line.refuse("must be '" + std::string(kHeading) + "'");
            headed = true;
            continue;
        }
        if (line.words().empty() || line.words().front().front() == '#')
            continue;
        Row row = parse_row(line);
        for (const Row& other : rows)
            if (same_key(row, other))
                line.refuse("this shape has a row above");
        rows.push_back(std::move(row));
    }
    if (!headed)
        Line(1, "").refuse("must be '" + std::string(kHeading) + "'");
    return GemmTable(std::move(rows));
}

std::string GemmTable::text() const {
    std::vector<std::vector<std::string>> lines{{std::begin(kColumns), std::end(kColumns)}};
    for (const Row& row : rows_)
        lines.push_back(words_of(row));
    std::array<size_t, kWords> widths{};
    for (const auto& words : lines)
        for (size_t i = 0; i < kWords; ++i)
            widths[i] = std::max(widths[i], words[i].size());
    std::string text = std::string(kHeading) + "\n";
    for (const auto& words : lines) {
        for (size_t i = 0; i + 1 < kWords; ++i)
            text += words[i] + std::string(widths[i] - words[i].size() + 2, ' ');
        text += words.back() + "\n";
    }
    return text;
}

GemmTable GemmTable::with(const std::vector<Row>& rows) const {
    std::vector<Row> all = rows_;
    for (const Row& row : rows) {
        const auto old = std::find_if(all.begin(), all.end(),
                                      [&](const Row& other) { return same_key(row, other); });
        if (old != all.end())
            *old = row;
        else
            all.push_back(row);
    }
    return GemmTable(std::move(all));
}

const GemmTable::Row* GemmTable::find(const GemmMachine& machine, const GemmShape& shape) const {
    const std::string library = machine.library_name();
    const auto found = std::find_if(rows_.begin(), rows_.end(), [&](const Row& row) {
        return row.sm == machine.sm && row.library == library && row.shape == shape;
    });
    return found == rows_.end() ? nullptr : &*found;
}

} // namespace yeoul::cuda

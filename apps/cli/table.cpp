#include "apps/cli/table.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>

namespace yeoul::cli {
namespace {

bool wide(uint32_t c) { // Unicode's East_Asian_Width W and F, the large blocks
    return (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) ||
           (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) ||
           (c >= 0x1F300 && c <= 0x1FAFF) || (c >= 0x20000 && c <= 0x3FFFD);
}

/// Start of the next character, and its width.
std::pair<size_t, size_t> step(std::string_view text, size_t at) {
    const auto first = static_cast<uint8_t>(text[at]);
    const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
    uint32_t c = length == 1 ? first : first & (0xFF >> (length + 1));
    size_t next = at + 1;
    for (; next < text.size() && next < at + length && (text[next] & 0xC0) == 0x80; ++next)
        c = (c << 6) | (text[next] & 0x3F);
    return {next, wide(c) ? 2 : 1};
}

std::string aligned(const Column& column, const std::string& cell) {
    const size_t width = display_width(cell);
    const std::string pad(width < column.width ? column.width - width : 0, ' ');
    return column.right ? pad + cell : cell + pad;
}

void widen(std::vector<Column>& columns, const std::vector<std::vector<std::string>>& rows) {
    for (size_t i = 0; i < columns.size(); ++i) {
        columns[i].width = std::max(columns[i].width, display_width(columns[i].title));
        for (const std::vector<std::string>& row : rows)
            columns[i].width = std::max(columns[i].width, display_width(row[i]));
    }
}

std::vector<std::string> titles(const std::vector<Column>& columns) {
    std::vector<std::string> cells;
    for (const Column& column : columns)
        cells.push_back(column.title);
    return cells;
}

std::string markdown_row(const std::vector<Column>& columns,
                         const std::vector<std::string>& cells) {
    std::string line = "|";
    for (size_t i = 0; i < columns.size(); ++i)
        line += " " + aligned(columns[i], cells[i]) + " |";
    return line + '\n';
}

} // namespace

size_t display_width(std::string_view utf8) {
    size_t width = 0;
    for (size_t at = 0; at < utf8.size();) {
        const auto [next, columns] = step(utf8, at);
        width += columns;
        at = next;
    }
    return width;
}

std::string shortened(std::string_view text, size_t width) {
    size_t left = display_width(text);
    if (left <= width)
        return std::string(text);
    size_t at = 0;
    while (at < text.size() && left + 3 > width) {
        const auto [next, columns] = step(text, at);
        left -= columns;
        at = next;
    }
    return "..." + std::string(text.substr(at));
}

std::string table_row(const std::vector<Column>& columns, const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < columns.size(); ++i)
        line += (i ? "  " : "") + aligned(columns[i], cells[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    return line + '\n';
}

std::string table_header(const std::vector<Column>& columns) {
    return table_row(columns, titles(columns));
}

std::string table(std::vector<Column> columns, const std::vector<std::vector<std::string>>& rows) {
    widen(columns, rows);
    std::string text = table_header(columns);
    for (const std::vector<std::string>& row : rows)
        text += table_row(columns, row);
    return text;
}

std::string markdown_table(std::vector<Column> columns,
                           const std::vector<std::vector<std::string>>& rows) {
    for (Column& column : columns)
        column.width = std::max<size_t>(column.width, 3);
    widen(columns, rows);
    std::string text = markdown_row(columns, titles(columns)) + "|";
    for (const Column& column : columns)
        text += std::string(column.width + 1, '-') + (column.right ? ":|" : "-|");
    text += '\n';
    for (const std::vector<std::string>& row : rows)
        text += markdown_row(columns, row);
    return text;
}

std::string fixed(double value, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

} // namespace yeoul::cli

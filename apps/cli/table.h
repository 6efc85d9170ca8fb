// Tables for people: aligned columns for a terminal, and markdown.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace yeoul::cli {

struct Column {
    std::string title;
    size_t width = 0; // the least; titles and, where all rows are known, cells widen it
    bool right = false;
};

/// Columns that a terminal uses: East Asian wide characters count twice.
size_t display_width(std::string_view utf8);

/// The end of `text`, with "..." before it, in at most `width` columns.
std::string shortened(std::string_view text, size_t width);

/// One line, with its end. Cells that are too wide push the rest to the right.
std::string table_row(const std::vector<Column>& columns, const std::vector<std::string>& cells);
std::string table_header(const std::vector<Column>& columns);

/// All rows are known: the columns fit them.
std::string table(std::vector<Column> columns, const std::vector<std::vector<std::string>>& rows);
std::string markdown_table(std::vector<Column> columns,
                           const std::vector<std::vector<std::string>>& rows);

/// "3.14": printf's %.*f
std::string fixed(double value, int digits);

} // namespace yeoul::cli

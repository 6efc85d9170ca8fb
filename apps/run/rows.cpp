#include "apps/run/rows.h"

#include <algorithm>

#include "apps/cli/json_text.h"
#include "apps/cli/printable.h"
#include "apps/cli/table.h"
#include "loader/json.h"

namespace yeoul::run {
namespace {

constexpr size_t kMostPathWidth = 48;
constexpr size_t kFirstValues = 4;

class TableRows : public RowFormat {
public:
    TableRows(const std::vector<Input>& inputs, int dim) : dim_(dim) {
        columns_ = {{"path", path_width(inputs)}, {"size", 9, true},      {"format", 6},
                    {"decode ms", 9, true},       {"resize ms", 9, true}, {"compute ms", 10, true},
                    {"batch", 5, true},           {"dim", 4, true},       {"vector", 0}};
    }
    std::string row(const std::string& path, const Result& result) override {
        if (result.error)
            return "";
        const std::string header = headed_ ? "" : cli::table_header(columns_);
        headed_ = true;
        std::string values;
        for (size_t i = 0; i < std::min(kFirstValues, result.embedding.size()); ++i)
            values += (i ? " " : "[") + cli::fixed(result.embedding[i], 4);
        const StageTimes& times = result.times;
        return header +
               cli::table_row(columns_,
                              {cli::shortened(cli::printable(path), columns_[0].width),
                               std::to_string(result.width) + "x" + std::to_string(result.height),
                               result.format, cli::fixed(times.read_ms + times.decode_ms, 1),
                               cli::fixed(times.preprocess_ms, 1), cli::fixed(times.compute_ms, 1),
                               std::to_string(result.batch), std::to_string(dim_),
                               values + (result.embedding.size() > kFirstValues ? " ...]" : "]")});
    }

private:
    std::vector<cli::Column> columns_;
    int dim_;
    bool headed_ = false; // when every photo failed there is no table
};

class JsonLines : public RowFormat {
public:
    explicit JsonLines(JsonRow row) : row_(std::move(row)) {}
    std::string row(const std::string& path, const Result& result) override {
        return row_(path, result) + '\n';
    }

private:
    JsonRow row_;
};

class JsonArray : public RowFormat {
public:
    explicit JsonArray(JsonRow row) : row_(std::move(row)) {}
    std::string begin() override { return "["; }
    std::string row(const std::string& path, const Result& result) override {
        const std::string_view separator = first_ ? "\n" : ",\n";
        first_ = false;
        return std::string(separator) + row_(path, result);
    }
    std::string end() override { return "\n]\n"; }

private:
    JsonRow row_;
    bool first_ = true;
};

// RFC 4180, with LF line ends.
class CsvRows : public RowFormat {
public:
    explicit CsvRows(int dim) : dim_(dim) {}
    std::string begin() override {
        std::string line = kCsvHead;
        for (int i = 0; i < dim_; ++i)
            line += ",v" + std::to_string(i);
        return line + '\n';
    }
    std::string row(const std::string& path, const Result& result) override {
        std::string line = csv_head(path, result);
        for (int i = 0; i < dim_; ++i) {
            line += ',';
            if (!result.error)
                cli::append_number(line, result.embedding[i]);
        }
        return line + '\n';
    }

private:
    int dim_;
};

} // namespace

std::string csv_field(const std::string& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos)
        return text;
    std::string field = "\"";
    for (char c : text)
        field += c == '"' ? std::string("\"\"") : std::string(1, c);
    return field + '"';
}

std::string csv_head(const std::string& path, const Result& result) {
    if (!result.error)
        return csv_field(path) + ",,";
    return csv_field(path) + ',' + std::string(name(result.error->code)) + ',' +
           csv_field(result.error->message);
}

size_t path_width(const std::vector<Input>& inputs) {
    size_t width = 4;
    for (const Input& input : inputs)
        width = std::max(width, cli::display_width(cli::printable(input.path)));
    return std::min(width, kMostPathWidth);
}

std::string json_error(const ItemError& error) {
    return ", \"error\": {\"code\": \"" + std::string(name(error.code)) +
           "\", \"message\": " + loader::json_quote(error.message) + "}";
}

std::unique_ptr<RowFormat> make_json_rows(std::string_view format, JsonRow row) {
    if (format == "json")
        return std::make_unique<JsonArray>(std::move(row));
    return std::make_unique<JsonLines>(std::move(row));
}

std::string json_row(const std::string& path, const Result& result) {
    std::string row = "{\"path\": " + loader::json_quote(path);
    if (result.error)
        row += json_error(*result.error);
    else
        row += ", \"embedding\": " + cli::json_array(result.embedding);
    return row + "}";
}

std::unique_ptr<RowFormat> make_row_format(std::string_view format,
                                           const std::vector<Input>& inputs, int dim) {
    if (format == "json" || format == "jsonl")
        return make_json_rows(format, json_row);
    if (format == "csv")
        return std::make_unique<CsvRows>(dim);
    return std::make_unique<TableRows>(inputs, dim);
}

} // namespace yeoul::run

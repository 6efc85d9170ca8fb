// Results as text, a row at a time, in input order.
#pragma once

#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <yeoul/engine.h>

#include "apps/run/inputs.h"

namespace yeoul::run {

/// One format. Each call gives the text to print.
class RowFormat {
public:
    virtual ~RowFormat() = default;
    virtual std::string begin() { return ""; }
    virtual std::string row(const std::string& path, const Result& result) = 0;
    virtual std::string end() { return ""; }
};

/// `format` is "table", "json", "jsonl" or "csv". A table has one row per photo that has a vector;
/// the others have one per photo.
std::unique_ptr<RowFormat> make_row_format(std::string_view format,
                                           const std::vector<Input>& inputs, int dim);

/// One object a line, or one list of them; `row` gives each object, without a line end.
using JsonRow = std::function<std::string(const std::string& path, const Result& result)>;
std::unique_ptr<RowFormat> make_json_rows(std::string_view format, JsonRow row);

/// A field of RFC 4180, in quotes where it needs them.
std::string csv_field(const std::string& text);

/// The first columns of every CSV: "path,error,message", and a photo's values of them.
inline constexpr const char* kCsvHead = "path,error,message";
std::string csv_head(const std::string& path, const Result& result);

/// How wide a table's column of paths is: the widest one, at most 48.
size_t path_width(const std::vector<Input>& inputs);

/// ", "error": {"code": ..., "message": ...}"
std::string json_error(const ItemError& error);

/// {"path": ..., "embedding": [...]} or {"path": ..., "error": {"code": ..., "message": ...}}
std::string json_row(const std::string& path, const Result& result);

} // namespace yeoul::run

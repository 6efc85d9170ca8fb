#include "engine/telemetry/trace.h"

#include <fstream>
#include <map>

#include <yeoul/error.h>

#include "loader/json.h"

namespace yeoul {
namespace {

using loader::json_quote;

std::string event_text(const Trace::Span& span, int row) {
    std::string text = "{\"ph\": \"X\", \"pid\": 1, \"tid\": " + std::to_string(row) +
                       ", \"name\": " + json_quote(span.name) +
                       ", \"ts\": " + std::to_string(span.start_us) +
                       ", \"dur\": " + std::to_string(span.us);
    if (span.size > 0)
        text += ", \"args\": {\"size\": " + std::to_string(span.size) + "}";
    return text + "}";
}

std::string row_text(const std::string& name, int row) {
    return "{\"ph\": \"M\", \"pid\": 1, \"tid\": " + std::to_string(row) +
           ", \"name\": \"thread_name\", \"args\": {\"name\": " + json_quote(name) + "}}";
}

} // namespace

void Trace::add(Span span) {
    const std::lock_guard lock(mutex_);
    if (spans_.size() < kMostSpans)
        spans_.push_back(std::move(span));
    else
        ++left_out_;
}

std::vector<Trace::Span> Trace::spans() const {
    const std::lock_guard lock(mutex_);
    return spans_;
}

void Trace::write(const std::filesystem::path& path) const {
    const std::lock_guard lock(mutex_);
    std::map<std::string, int> rows; // sorted, as they are to be shown
    for (const Span& span : spans_)
        rows.emplace(span.row, 0);
    std::ofstream file(path);
    file << "{\"displayTimeUnit\": \"ms\", \"otherData\": {\"spans_left_out\": " << left_out_
         << "}, \"traceEvents\": [";
    const char* separator = "\n";
    int number = 0;
    for (auto& [name, row] : rows) {
        row = ++number;
        file << std::exchange(separator, ",\n") << row_text(name, row);
    }
    for (const Span& span : spans_)
        file << std::exchange(separator, ",\n") << event_text(span, rows.at(span.row));
    file << "\n]}\n";
    file.close();
    if (!file)
        throw Error(ErrorCode::io, "the trace cannot be written to '" + path.string() + "'");
}

} // namespace yeoul

#include "loader/json.h"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include <yeoul/error.h>

namespace yeoul::loader {
namespace {

// The deepest file in use nests 4 levels; destruction of a value recurses.
constexpr size_t kMaxDepth = 32;

// Builds a Json from the parser's events. Returning false ends the parse.
class Builder {
public:
    explicit Builder(size_t most_values) : most_values_(most_values) {}

    bool null() { return add(Json()); }
    bool boolean(bool value) { return add(Json(value)); }
    bool number_integer(int64_t value) { return add(Json(value)); }
    bool number_unsigned(uint64_t value) {
        if (value <= static_cast<uint64_t>(INT64_MAX))
            return add(Json(static_cast<int64_t>(value)));
        return add(Json(static_cast<double>(value)));
    }
    bool number_float(double value, const std::string&) { return add(Json(value)); }
    bool string(std::string& value) { return add(Json(std::move(value))); }
    bool binary(std::vector<uint8_t>&) { return false; }
    bool start_object(size_t) { return open(Json(Json::Object())); }
    bool start_array(size_t) { return open(Json(Json::Array())); }
    bool key(std::string& name) {
        open_.back()->object()->emplace_back(std::move(name), Json());
        return true;
    }
    bool end_object() {
        const Json::Object& members = *open_.back()->object();
        std::vector<std::string_view> names;
        names.reserve(members.size());
        for (const Json::Member& member : members)
            names.push_back(member.first);
        std::sort(names.begin(), names.end());
        const auto twice = std::adjacent_find(names.begin(), names.end());
        if (twice != names.end())
            return refuse("the name " + in_quotes(*twice) + " occurs twice in one object");
        open_.pop_back();
        return true;
    }
    bool end_array() {
        open_.pop_back();
        return true;
    }
    bool parse_error(size_t position, const std::string&,
                     const nlohmann::detail::exception& error) {
        error_position_ = position;
        not_utf8_ = std::string_view(error.what()).find("UTF-8") != std::string_view::npos;
        return false;
    }

    Json take() { return std::move(root_); }
    const std::string& refusal() const { return refusal_; }
    size_t error_position() const { return error_position_; }
    bool not_utf8() const { return not_utf8_; }

private:
    bool refuse(std::string why) {
        refusal_ = std::move(why);
        return false;
    }
    bool refuse_values() { return refuse("more than " + std::to_string(most_values_) + " values"); }
    // The place of the next value. An open container's own place never moves: nothing is appended
    // beside it before it is closed.
    Json* place(Json value) {
        if (open_.empty()) {
            root_ = std::move(value);
            return &root_;
        }
        if (Json::Object* object = open_.back()->object()) {
            object->back().second = std::move(value);
            return &object->back().second;
        }
        Json::Array* array = open_.back()->array();
        array->push_back(std::move(value));
        return &array->back();
    }
    bool add(Json value) {
        if (++values_ > most_values_)
            return refuse_values();
        place(std::move(value));
        return true;
    }
    bool open(Json container) {
        if (open_.size() == kMaxDepth)
            return refuse("nested more than " + std::to_string(kMaxDepth) + " levels deep");
        if (++values_ > most_values_)
            return refuse_values();
        open_.push_back(place(std::move(container)));
        return true;
    }

    Json root_;
    std::vector<Json*> open_;
    const size_t most_values_;
    size_t values_ = 0;
    std::string refusal_;
    size_t error_position_ = 0;
    bool not_utf8_ = false;
};

std::string line_and_column(std::string_view text, size_t position) {
    const std::string_view before = text.substr(0, std::min(position, text.size()));
    const size_t line = 1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
    const size_t newline = before.rfind('\n');
    const size_t column = newline == before.npos ? before.size() : before.size() - newline - 1;
    return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

} // namespace

bool Json::is_number() const {
    return std::holds_alternative<int64_t>(value_) || std::holds_alternative<double>(value_);
}

double Json::number() const {
    if (const int64_t* whole = integer())
        return static_cast<double>(*whole);
    return std::get<double>(value_);
}

const Json* Json::find(std::string_view key) const {
    if (const Object* members = object())
        for (const Member& member : *members)
            if (member.first == key)
                return &member.second;
    return nullptr;
}

std::string Json::describe() const {
    if (is_null())
        return "null";
    if (const bool* value = boolean())
        return *value ? "true" : "false";
    if (const int64_t* value = integer())
        return std::to_string(*value);
    if (const std::string* value = string())
        return in_quotes(*value);
    if (array() != nullptr)
        return "a list";
    if (object() != nullptr)
        return "an object";
    char text[32];
    std::snprintf(text, sizeof text, "%.9g", std::get<double>(value_));
    return text;
}

Json parse_json(std::string_view text, const std::string& label, size_t most_values) {
    // The parser takes a NUL for the end of the text, which would hide what follows.
    const size_t nul = text.find('\0');
    if (nul != text.npos)
        throw Error(ErrorCode::model,
                    label + ": not valid JSON, a zero byte at " + line_and_column(text, nul + 1));
    Builder builder(most_values);
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
        if (!builder.refusal().empty())
            throw Error(ErrorCode::model, label + ": " + builder.refusal());
        throw Error(ErrorCode::model, label + ": not valid JSON at " +
                                          line_and_column(text, builder.error_position()) +
                                          (builder.not_utf8() ? ", which is not UTF-8" : ""));
    }
    return builder.take();
}

std::string json_quote(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string in_quotes(std::string_view text) {
    constexpr size_t kLongest = 120;
    std::string shown = "\"";
    for (char c : text.substr(0, kLongest)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\x%02x", byte);
            shown += escape;
        } else {
            shown += c;
        }
    }
    return shown + (text.size() > kLongest ? "...\"" : "\"");
}

} // namespace yeoul::loader

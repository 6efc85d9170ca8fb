#include "loader/json_fields.h"

#include <yeoul/error.h>

namespace yeoul::loader {

bool integer_within(const Json& value, int low, int high, int& out) {
    const int64_t* whole = value.integer();
    if (whole == nullptr || *whole < low || *whole > high)
        return false;
    out = static_cast<int>(*whole);
    return true;
}

int JsonFields::integer(std::string_view key, int absent, int low, int high) const {
    const Json* value = find(key);
    if (value == nullptr) {
        note(std::string(key) + " is absent, taken as " + std::to_string(absent));
        return absent;
    }
    int result = 0;
    if (!integer_within(*value, low, high, result))
        refuse(key, value,
               "must be an integer from " + std::to_string(low) + " to " + std::to_string(high));
    return result;
}

double JsonFields::number(std::string_view key, double absent, double above, double below) const {
    const Json* value = find(key);
    if (value == nullptr) {
        note(std::string(key) + " is absent, taken as " + Json(absent).describe());
        return absent;
    }
    // Written so that NaN fails too.
    if (!value->is_number() || !(value->number() > above && value->number() < below))
        refuse(key, value,
               "must be a number above " + Json(above).describe() + " and below " +
                   Json(below).describe());
    return value->number();
}

std::string JsonFields::text(std::string_view key, const std::string& absent) const {
    const Json* value = find(key);
    if (value == nullptr) {
        note(std::string(key) + " is absent, taken as " + in_quotes(absent));
        return absent;
    }
    if (value->string() == nullptr)
        refuse(key, value, "must be a string");
    return *value->string();
}

bool JsonFields::flag(std::string_view key, bool absent) const {
    const Json* value = find(key);
    if (value == nullptr) {
        note(std::string(key) + " is absent, taken as " + (absent ? "true" : "false"));
        return absent;
    }
    if (value->boolean() == nullptr)
        refuse(key, value, "must be true or false");
    return *value->boolean();
}

void JsonFields::refuse(std::string_view key, const Json* value, const std::string& wanted) const {
    throw Error(ErrorCode::model, label_ + ": " + prefix_ + std::string(key) + " is " +
                                      (value == nullptr ? "absent" : value->describe()) + ", " +
                                      wanted);
}

} // namespace yeoul::loader

// Reading known members out of a JSON object, with defaults, ranges and messages that name the
// file, the key and the value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loader/json.h"

namespace yeoul::loader {

/// Every getter throws `Error`, code `model`, for a value of the wrong type or out of range. An
/// absent key takes the default given and is noted: "hidden_size is absent, taken as 768".
class JsonFields {
public:
    /// `object` and `notes` outlive this. `prefix` ("vision_config.") stands before each key in
    /// messages. A nullptr object is one without members.
    JsonFields(const Json* object, std::string label, std::string prefix,
               std::vector<std::string>& notes)
        : object_(object), label_(std::move(label)), prefix_(std::move(prefix)), notes_(notes) {}

    int integer(std::string_view key, int absent, int low, int high) const;
    /// Finite and strictly between the bounds.
    double number(std::string_view key, double absent, double above, double below) const;
    std::string text(std::string_view key, const std::string& absent) const;
    bool flag(std::string_view key, bool absent) const;

    const Json* find(std::string_view key) const {
        return object_ == nullptr ? nullptr : object_->find(key);
    }
    void note(const std::string& what) const { notes_.push_back(prefix_ + what); }
    /// "LABEL: PREFIXkey is VALUE, WANTED". `value` may be nullptr: "is absent".
    [[noreturn]] void refuse(std::string_view key, const Json* value,
                             const std::string& wanted) const;

private:
    const Json* object_;
    std::string label_, prefix_;
    std::vector<std::string>& notes_;
};

/// `value` as an integer in [low, high], or false.
bool integer_within(const Json& value, int low, int high, int& out);

} // namespace yeoul::loader

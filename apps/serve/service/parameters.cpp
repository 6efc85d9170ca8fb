#include "apps/serve/service/parameters.h"

#include <charconv>

#include "apps/serve/http/message.h"

namespace yeoul::serve {
namespace {

bool flag(const std::string& name, const std::string& value) {
    if (value == "1" || value == "true" || value.empty())
        return true;
    YEOUL_REQUIRE(value == "0" || value == "false",
                  name << " is '" << value << "', must be true or false");
    return false;
}

Priority priority(const std::string& value) {
    YEOUL_REQUIRE(value == "interactive" || value == "bulk",
                  "priority is '" << value << "', must be interactive or bulk");
    return value == "bulk" ? Priority::bulk : Priority::interactive;
}

std::chrono::microseconds timeout(const std::string& value) {
    constexpr int64_t kMost = 24 * 3600 * 1000;
    int64_t ms = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), ms);
    YEOUL_REQUIRE(error == std::errc() && end == value.data() + value.size() && ms > 0 &&
                      ms <= kMost,
                  "timeout_ms is '" << value << "', must be a whole number from 1 to " << kMost);
    return std::chrono::milliseconds(ms);
}

} // namespace

void set_parameter(EmbedParameters& parameters, const std::string& name, const std::string& value) {
    if (name == "normalize")
        parameters.normalize = flag(name, value);
    else if (name == "encoding_format")
        parameters.base64 = is_base64(value);
    else if (name == "model")
        parameters.model = value;
    else if (name == "priority")
        parameters.schedule.priority = priority(value);
    else if (name == "timeout_ms")
        parameters.schedule.timeout = timeout(value);
    else
        YEOUL_REQUIRE(false, "the parameter '" << name
                                               << "' is not known; known are normalize, "
                                                  "encoding_format, model, priority and "
                                                  "timeout_ms");
}

void require_model(const std::string& asked, const std::string& served) {
    if (!asked.empty() && asked != served)
        throw HttpError(404, "model_not_found",
                        "the model '" + asked + "' is not served here; this is '" + served + "'");
}

bool is_base64(const std::string& encoding_format) {
    YEOUL_REQUIRE(encoding_format == "float" || encoding_format == "base64",
                  "encoding_format is '" << encoding_format << "', must be float or base64");
    return encoding_format == "base64";
}

} // namespace yeoul::serve

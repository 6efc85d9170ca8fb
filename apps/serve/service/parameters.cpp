#include "apps/serve/service/parameters.h"

#include <algorithm>
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

/// All of `value` as a number; empty when it is none.
template <class Number>
std::optional<Number> number(const std::string& value) {
    Number read{};
    const char* const last = value.data() + value.size();
    const auto [end, error] = std::from_chars(value.data(), last, read);
    return error == std::errc() && end == last ? std::optional(read) : std::nullopt;
}

std::chrono::microseconds timeout(const std::string& value) {
    constexpr int64_t kMost = 24 * 3600 * 1000;
    const auto ms = number<int64_t>(value);
    YEOUL_REQUIRE(ms && *ms > 0 && *ms <= kMost,
                  "timeout_ms is '" << value << "', must be a whole number from 1 to " << kMost);
    return std::chrono::milliseconds(*ms);
}

int tags(const std::string& name, const std::string& value) {
    constexpr int kMost = 64; // of the engine
    const auto count = number<int>(value);
    YEOUL_REQUIRE(count && *count >= 1 && *count <= kMost,
                  name << " is '" << value << "', must be a whole number from 1 to " << kMost);
    return *count;
}

double threshold(const std::string& value) {
    const auto cosine = number<double>(value);
    YEOUL_REQUIRE(cosine && *cosine > 0 && *cosine <= 1,
                  "threshold is '" << value << "', must be a number above 0 and at most 1");
    return *cosine;
}

std::string listed(std::span<const std::string_view> names) {
    std::string list;
    for (std::string_view name : names)
        list += (list.empty() ? "" : name == names.back() ? " and " : ", ") + std::string(name);
    return list;
}

} // namespace

void set_parameter(PhotoParameters& parameters, std::span<const std::string_view> known,
                   const std::string& name, const std::string& value) {
    if (std::find(known.begin(), known.end(), name) == known.end())
        throw Error(ErrorCode::invalid_argument,
                    "the parameter '" + name + "' is not known here; known are " + listed(known));
    if (name == "normalize")
        parameters.normalize = flag(name, value);
    else if (name == "encoding_format")
        parameters.base64 = is_base64(value);
    else if (name == "tags" || name == "top_k")
        parameters.tags = tags(name, value);
    else if (name == "threshold")
        parameters.threshold = threshold(value);
    else if (name == "duplicates" && !flag(name, value))
        parameters.threshold.reset();
    else if (name == "duplicates")
        parameters.threshold = parameters.threshold.value_or(kDefaultThreshold);
    else if (name == "model")
        parameters.model = value;
    else if (name == "priority")
        parameters.schedule.priority = priority(value);
    else if (name == "timeout_ms")
        parameters.schedule.timeout = timeout(value);
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

#include "apps/serve/service/parameters.h"

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

} // namespace

void set_parameter(EmbedParameters& parameters, const std::string& name, const std::string& value) {
    if (name == "normalize")
        parameters.normalize = flag(name, value);
    else if (name == "encoding_format")
        parameters.base64 = is_base64(value);
    else if (name == "model")
        parameters.model = value;
    else
        YEOUL_REQUIRE(false, "the parameter '" << name
                                               << "' is not known; known are normalize, "
                                                  "encoding_format and model");
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

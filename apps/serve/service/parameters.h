// Options of a request as its query or a form gives them.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include <yeoul/engine.h>

namespace yeoul::serve {

/// What a client says about time.
struct Schedule {
    Priority priority = Priority::interactive;
    std::optional<std::chrono::microseconds> timeout; // from the head of the request on
};

struct EmbedParameters {
    bool normalize = false;
    bool base64 = false; // encoding_format: vectors as base64 of little-endian float32
    std::string model;   // empty: the one that is served
    Schedule schedule;
};

/// Throws `Error`, code `invalid_argument`, for a name that is not known and a value that does not
/// fit.
void set_parameter(EmbedParameters& parameters, const std::string& name, const std::string& value);

/// Throws `HttpError` 404 when `asked` is neither empty nor `served`.
void require_model(const std::string& asked, const std::string& served);

/// "float" or "base64"; throws `Error` for others.
bool is_base64(const std::string& encoding_format);

} // namespace yeoul::serve

// Options of a request as its query or a form gives them.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <yeoul/engine.h>

namespace yeoul::serve {

/// What a client says about time.
struct Schedule {
    Priority priority = Priority::interactive;
    std::optional<std::chrono::microseconds> timeout; // from the head of the request on
};

constexpr double kDefaultThreshold = 0.95; // as of engine-run
constexpr int kDefaultTags = 5;

struct PhotoParameters {
    bool normalize = false;
    bool base64 = false;             // encoding_format: vectors as base64 of little-endian float32
    int tags = 0;                    // labels for each photo
    std::optional<double> threshold; // of near-duplicates, when they are asked for
    std::string model;               // empty: the one that is served
    Schedule schedule;
};

/// Throws `Error`, code `invalid_argument`, for a name that is not among `known` and a value that
/// does not fit.
void set_parameter(PhotoParameters& parameters, std::span<const std::string_view> known,
                   const std::string& name, const std::string& value);

/// Throws `HttpError` 404 when `asked` is neither empty nor `served`.
void require_model(const std::string& asked, const std::string& served);

/// "float" or "base64"; throws `Error` for others.
bool is_base64(const std::string& encoding_format);

} // namespace yeoul::serve

// Errors of the library: one exception type, one list of codes.
//
// A code belongs to one of two groups. Item codes say what happened to a single photo; they travel
// in its `Result` and on the wire under their `name()`, and never end a request of somebody else.
// Process codes say why a call or a start-up failed.
#pragma once

#include <cstddef>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

#define YEOUL_API __attribute__((visibility("default")))

namespace yeoul {

enum class ErrorCode {
    // items
    not_found,         // the file does not exist or cannot be read
    bad_image,         // the bytes are not a complete, valid image
    unsupported_image, // a format or variant this build does not decode
    image_too_large,   // more pixels than `max_pixels`
    deadline_exceeded, // the request's own deadline passed
    queue_full,        // refused at admission
    out_of_memory,     // an allocation failed; the only recoverable device error
    non_finite,        // the vector holds NaN or infinity
    device_lost,       // a sticky device error
    cancelled,         // the caller gave up
    // process
    invalid_argument, // the caller's fault: the message names the value
    model,            // the model directory cannot be loaded
    device,           // device, driver or library missing or unable
    io,               // a file could not be written, a peer not reached
    internal,         // our fault
};

inline constexpr int kErrorCodes = static_cast<int>(ErrorCode::internal) + 1;

/// The fixed name of a code, as it appears in JSON and metrics: "bad_image".
constexpr std::string_view name(ErrorCode code) {
    constexpr std::string_view kNames[] = {
        "not_found",
        "bad_image",
        "unsupported_image",
        "image_too_large",
        "deadline_exceeded",
        "queue_full",
        "out_of_memory",
        "non_finite",
        "device_lost",
        "cancelled",
        "invalid_argument",
        "model",
        "device",
        "io",
        "internal",
    };
    return kNames[static_cast<int>(code)];
}

class YEOUL_API Error : public std::runtime_error {
public:
    Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
    ErrorCode code() const { return code_; }

private:
    ErrorCode code_;
};

class YEOUL_API OutOfMemory : public Error {
public:
    OutOfMemory(size_t bytes, const std::string& where)
        : Error(ErrorCode::out_of_memory,
                "out of memory: " + std::to_string(bytes) + " bytes for " + where),
          bytes_(bytes) {}
    size_t bytes() const { return bytes_; }

private:
    size_t bytes_;
};

} // namespace yeoul

// The caller's fault. `message` is a stream expression that names the value:
//   YEOUL_REQUIRE(batch > 0, "batch is " << batch << ", must be at least 1");
#define YEOUL_REQUIRE(condition, message)                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::ostringstream yeoul_message_;                                                     \
            yeoul_message_ << message;                                                             \
            throw ::yeoul::Error(::yeoul::ErrorCode::invalid_argument, yeoul_message_.str());      \
        }                                                                                          \
    } while (false)

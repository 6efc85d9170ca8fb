// The body of PUT /v1/labels.
#pragma once

#include <string_view>

#include <yeoul/engine.h>

namespace yeoul::serve {

/// {"labels": ["cat", "dog"], "template": "a photo of a {}"}, or "templates": [...]; without one:
/// the library's. Throws `Error`, code `invalid_argument`, for what has another shape; what the
/// labels say is looked at by the engine.
Labels parse_labels_request(std::string_view body);

} // namespace yeoul::serve

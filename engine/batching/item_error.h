// Errors of photos, made where memory may have run out.
#pragma once

#include <string_view>

#include <yeoul/engine.h>

namespace yeoul {

/// Without memory for the message the code alone says what happened.
ItemError error_of(ErrorCode code, std::string_view message) noexcept;

/// Of a request that nothing was kept of.
Error no_memory_for_request();

/// Of the exception that is being handled.
ItemError describe_exception() noexcept;

} // namespace yeoul

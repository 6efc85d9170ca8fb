// What this build is checked with, for tests that would take too long under it at full size.
#pragma once

namespace yeoul::test {

/// ThreadSanitizer: 10 to 80 times slower.
#if defined(__SANITIZE_THREAD__)
constexpr bool kSlowSanitizer = true;
#else
constexpr bool kSlowSanitizer = false;
#endif

/// Either sanitizer: sweeps whose every step runs the same code take longer steps.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = kSlowSanitizer;
#endif

} // namespace yeoul::test

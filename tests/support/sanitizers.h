// What this build is checked with, for tests that would take too long under it at full size.
#pragma once

namespace yeoul::test {

/// ThreadSanitizer: 10 to 80 times slower.
#if defined(__SANITIZE_THREAD__)
constexpr bool kSlowSanitizer = true;
#else
constexpr bool kSlowSanitizer = false;
#endif

} // namespace yeoul::test

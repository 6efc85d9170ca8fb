// The live page, as the build put it into the program.
#pragma once

#include <string_view>

namespace yeoul::serve {

extern const std::string_view kPage;

} // namespace yeoul::serve

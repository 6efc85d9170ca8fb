// What messages say.
#pragma once

#include <string>

namespace yeoul::test {

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

} // namespace yeoul::test

#include "apps/cli/printable.h"

#include <cstdio>

namespace yeoul::cli {
namespace {

void append_escaped(std::string& text, unsigned char byte) {
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    text += byte == '\n' ? "\\n" : byte == '\r' ? "\\r" : byte == '\t' ? "\\t" : escaped;
}

} // namespace

std::string printable(std::string_view text) {
    std::string shown;
    for (size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
        if (byte < 0x20 || byte == 0x7F) {
            append_escaped(shown, byte);
        } else if (byte == 0xC2 && next >= 0x80 && next < 0xA0) { // U+0080 to U+009F
            append_escaped(shown, next);
            ++i;
        } else {
            shown += text[i];
        }
    }
    return shown;
}

} // namespace yeoul::cli

#include "loader/unicode_text.h"

#include <algorithm>
#include <iterator>
#include <new>
#include <vector>

#include <utf8proc.h>

#include "loader/unicode_tables.h"

namespace yeoul::loader {
namespace {

const utf8proc_uint8_t* bytes_of(std::string_view text) {
    return reinterpret_cast<const utf8proc_uint8_t*>(text.data());
}

// White_Space of PropList.txt, Unicode 15; the same since Unicode 6.3.
bool is_space(char32_t c) {
    return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

template <class Range, size_t count>
const Range* find_in(const Range (&table)[count], char32_t c) {
    const Range* range = std::lower_bound(std::begin(table), std::end(table), c,
                                          [](const Range& r, char32_t x) { return r.last < x; });
    return range != std::end(table) && range->first <= c ? range : nullptr;
}

// A piece without younger marks in NFC, at the end of `out`.
void append_composed(std::string_view text, std::u32string& out) {
    const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    const auto size = static_cast<utf8proc_ssize_t>(text.size());
    const utf8proc_ssize_t needed = utf8proc_decompose(bytes_of(text), size, nullptr, 0, options);
    if (needed < 0)
        throw std::bad_alloc(); // text is well-formed: only its length can be at fault
    std::vector<utf8proc_int32_t> code_points(static_cast<size_t>(needed) + 1);
    utf8proc_decompose(bytes_of(text), size, code_points.data(), needed, options);
    const utf8proc_ssize_t left = utf8proc_normalize_utf32(code_points.data(), needed, options);
    out.append(code_points.begin(), code_points.begin() + left);
}

} // namespace

size_t first_invalid_utf8(std::string_view text) {
    for (size_t at = 0; at < text.size();) {
        utf8proc_int32_t code_point = 0;
        const utf8proc_ssize_t taken = utf8proc_iterate(
            bytes_of(text) + at, static_cast<utf8proc_ssize_t>(text.size() - at), &code_point);
        if (taken <= 0)
            return at;
        at += static_cast<size_t>(taken);
    }
    return text.npos;
}

void append_utf8(char32_t code_point, std::string& out) {
    utf8proc_uint8_t bytes[4];
    const auto count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
    out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(count));
}

std::u32string compose(std::string_view text) {
    std::u32string composed;
    size_t piece = 0;
    for (size_t at = 0; at < text.size();) {
        utf8proc_int32_t code_point = 0;
        const auto taken = static_cast<size_t>(utf8proc_iterate(
            bytes_of(text) + at, static_cast<utf8proc_ssize_t>(text.size() - at), &code_point));
        if (find_in(kYoungerMarks, static_cast<char32_t>(code_point))) {
            append_composed(text.substr(piece, at - piece), composed);
            composed += static_cast<char32_t>(code_point);
            piece = at + taken;
        }
        at += taken;
    }
    append_composed(text.substr(piece), composed);
    return composed;
}

std::u32string lower_case(std::u32string_view text) {
    std::u32string lower;
    lower.reserve(text.size());
    for (char32_t c : text) {
        if (c == 0x130) { // SpecialCasing.txt: the one whose lower case is two code points
            lower += U"i\u0307";
            continue;
        }
        if (const CodeMove* move = find_in(kYoungerLowerCase, c))
            lower += c + static_cast<char32_t>(move->offset);
        else
            lower += static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
    }
    return lower;
}

CharacterClass character_class(char32_t code_point) {
    if (is_space(code_point))
        return CharacterClass::space;
    if (find_in(kYoungerLetters, code_point))
        return CharacterClass::letter;
    if (find_in(kYoungerNumbers, code_point))
        return CharacterClass::number;
    switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return CharacterClass::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return CharacterClass::number;
    default:
        return CharacterClass::other;
    }
}

} // namespace yeoul::loader

// Text as code points, and what Unicode says about them. The library behind it stays in
// unicode_text.cpp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace yeoul::loader {

/// Offset of the first byte that is not part of well-formed UTF-8, or npos. Surrogates, overlong
/// forms and values above U+10FFFF are not well-formed; U+0000 and noncharacters are.
size_t first_invalid_utf8(std::string_view text);

void append_utf8(char32_t code_point, std::string& out);

/// Well-formed UTF-8 in Normalization Form C (Unicode Standard Annex 15), as code points. Like all
/// below, by the versions of Unicode that the `tokenizers` package has (loader/unicode_tables.h):
/// models are fed what it gives.
std::u32string compose(std::string_view text);

/// The lower-case form, one code point after the other, whatever stands around them: only U+0130
/// becomes two.
std::u32string lower_case(std::u32string_view text);

/// How regular expressions class it: \s, \p{L}, \p{N}, or none of these.
enum class CharacterClass { space, letter, number, other };
CharacterClass character_class(char32_t code_point);

} // namespace yeoul::loader

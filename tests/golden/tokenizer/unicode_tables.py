"""Writes loader/unicode_tables.h: where the `tokenizers` package and utf8proc follow different versions
of Unicode. Every code point is compared; needs the shared library of libutf8proc-dev.

unicode_tables.py [--check]
"""

import argparse
import ctypes
import pathlib
import random

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

HEADER = pathlib.Path(__file__).resolve().parents[3] / "loader" / "unicode_tables.h"
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
COMPOSE = 1 << 1 | 1 << 3  # UTF8PROC_STABLE | UTF8PROC_COMPOSE
DECOMPOSE = 1 << 1 | 1 << 4
LETTERS, NUMBERS = range(1, 6), range(9, 12)  # of utf8proc_category_t
MARKS = range(6, 9)

utf8proc = ctypes.CDLL("libutf8proc.so.2")
utf8proc.utf8proc_map.restype = ctypes.c_ssize_t
utf8proc.utf8proc_unicode_version.restype = ctypes.c_char_p
libc = ctypes.CDLL(None)
nfc = normalizers.NFC().normalize_str
lowercase = normalizers.Lowercase().normalize_str


def mapped(text, options):
    data, out = text.encode(), ctypes.c_void_p()
    size = utf8proc.utf8proc_map(data, len(data), ctypes.byref(out), options)
    result = ctypes.string_at(out.value, size).decode()
    libc.free(out)
    return result


def members(expression):
    split = pre_tokenizers.Split(Regex(expression), behavior="removed", invert=True)
    found = set()
    for i in range(0, len(CODES), 4096):
        for piece, _ in split.pre_tokenize_str("".join(map(chr, CODES[i : i + 4096]))):
            found.update(map(ord, piece))
    return found


def ranges(codes):
    found = []
    for code in sorted(codes):
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def moved(pairs):
    """(first, last, offset) of runs that are mapped alike."""
    found = []
    for code, target in sorted(pairs):
        if found and found[-1][1] == code - 1 and found[-1][2] == target - code:
            found[-1][1] = code
        else:
            found.append([code, code, target - code])
    return found


def younger_marks():
    """Marks that utf8proc moves past others and tokenizers does not, nor composes."""
    texts = ((c, f"e\u0345{chr(c)}\u0334") for c in CODES if c)
    found = {c for c, text in texts if mapped(text, COMPOSE) != nfc(text)}
    pairs = (mapped(chr(c), DECOMPOSE) for c in CODES if c)
    return found | {ord(p[-1]) for p in pairs if len(p) > 1 and composed(p, found) != nfc(p)}


def composed(text, marks):
    """What loader/unicode_text.cpp does: pieces between younger marks, each for itself."""
    pieces = [""]
    for c in text:
        if ord(c) in marks:
            pieces += [c, ""]
        else:
            pieces[-1] += c
    return "".join(piece if ord(piece[0]) in marks else mapped(piece, COMPOSE) for piece in pieces if piece)


def check_composition(marks):
    category = {c: utf8proc.utf8proc_category(c) for c in CODES}
    some_marks = [c for c in CODES if category[c] in MARKS]
    draw = random.Random(1)
    texts = [mapped(chr(c), DECOMPOSE) for c in CODES if c]
    for _ in range(300_000):
        codes = (draw.choice(some_marks if draw.random() < 0.6 else CODES[1:0x20000]) for _ in range(6))
        texts.append("".join(map(chr, codes)))
    return [text for text in texts if composed(text, marks) != nfc(text)]


def table(kind, name, comment, rows):
    lines = [f"// {comment}", f"constexpr {kind} {name}[] = {{"]
    text = ", ".join("{" + ", ".join(hex(v) if v >= 0 else str(v) for v in row) + "}" for row in rows)
    while text:
        cut = len(text) if len(text) <= 95 else text.rfind(" ", 0, 95)
        lines.append("    " + text[:cut].strip())
        text = text[cut:].strip()
    return "\n".join([*lines, "};"])


def main():
    parser = argparse.ArgumentParser(description="Compares utf8proc with the tokenizers package.")
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    category = {c: utf8proc.utf8proc_category(c) for c in CODES}
    letters = members(r"\p{L}") ^ {c for c in CODES if category[c] in LETTERS}
    numbers = members(r"\p{N}") ^ {c for c in CODES if category[c] in NUMBERS}
    lower = [(c, lowercase(chr(c))) for c in CODES if lowercase(chr(c)) != chr(utf8proc.utf8proc_tolower(c))]
    assert [c for c, text in lower if len(text) > 1] == [0x130], "only U+0130 becomes two"
    marks = younger_marks()
    wrong = check_composition(marks)
    print(f"{len(letters)} letters, {len(numbers)} numbers, {len(lower)} lower cases, {len(marks)} marks;"
          f" {len(wrong)} texts composed otherwise: {[[hex(ord(c)) for c in t] for t in wrong[:5]]}")  # fmt: skip
    if check:
        return
    version = utf8proc.utf8proc_unicode_version().decode()
    tables = [
        table("CodeRange", "kYoungerLetters", "Letters.", ranges(letters)),
        table("CodeRange", "kYoungerNumbers", "Numbers.", ranges(numbers)),
        table("CodeMove", "kYoungerLowerCase", "A lower case, and how far it is.",
              moved((c, ord(t)) for c, t in lower if len(t) == 1)),
        table("CodeRange", "kYoungerMarks", "Marks that tokenizers neither reorders nor composes.", ranges(marks)),
    ]  # fmt: skip
    HEADER.write_text(f"""// Where utf8proc (Unicode {version}) differs from what the tokenizers package {tokenizers.__version__} knows: its regular
// expressions follow Unicode 16, its lower case 17, its composition 9. Of all code points; made by
// tests/golden/tokenizer/unicode_tables.py.
#pragma once

#include <cstdint>

namespace yeoul::loader {{

struct CodeRange {{
    uint32_t first, last;
}};
struct CodeMove {{
    uint32_t first, last;
    int32_t offset;
}};

{chr(10).join(t + chr(10) for t in tables)}
}} // namespace yeoul::loader
""")


if __name__ == "__main__":
    main()

"""Texts that a tokenizer can get wrong, and text to learn merges from. Seeded; nothing is foreign."""

import random
import unicodedata

WORDS = (
    "a the of photo picture drawing red blue green yellow small large two three many dog cat house river"
    " mountain street bridge tree flower child people running sleeping under over beside near old new bright"
    " dark morning evening winter summer sun moon cloud rain snow sand sea boat train window door table book"
    " blurry close-up black-and-white don't it's they've we're I'm you'll he'd"
).split()
KOREAN = "여울 사진 바다 하늘 강아지 고양이 빨간 파란 큰 작은 산 나무 꽃 아침 저녁 아이 두 마리 위에 있는 없는 그림".split()
EMOJI = "😀 😂 ❤️ 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇰🇷 🇺🇳 1️⃣ #️⃣ 🧑🏿‍🚀 ☕ ✈️ ™️ 🐕‍🦺 🫠".split()
ENTITIES = "&amp; &lt; &#39; &#x27; &nbsp; &hearts; &unknown; <b>bold</b> <br/> &amp;amp; & ; &;".split()
SPECIALS = [
    "<|startoftext|>", "<|endoftext|>", "<|ENDOFTEXT|>", "<|StartOfText|>", "<|endoftext|", "<endoftext>",
    "<|endoftext|>!", "!!<|endoftext|>??", "<|ENDOFTEXT|>!!", "??<|STARTOFTEXT|>.", "</w>", "<|", "|>",
    "<|endoftext|><|endoftext|>", "<|startoftext|> a dog <|endoftext|>", "a</w>b", "Ġ", "ĠA",
]  # fmt: skip
SPACES = "\t\n\v\f\r \x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2003\u2007\u200a\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
CONTROLS = "".join(map(chr, range(0x20))) + "\x7f" + "".join(map(chr, range(0x80, 0xA0))) + "\xad\u200d\u200e\u202e"
CASES = "İIıiſSßẞΣσςǅǆǄﬁﬀÅÅΩΩKKᏣꭳᲐაⅧⅷⒶⓐＡａ𐐀𐐨𞤀ꞪɦȺⱥϴθẛ̣"
MARKS = [chr(c) for c in range(0x300, 0x370)] + list("\u05b0\u05bc\u0651\u064b\u093c\u094d\u3099\u309a\u20dd\u1ab0\U0001d165")
SCRIPTS = [  # first and last code point
    (0x41, 0x7A), (0xC0, 0x24F), (0x370, 0x3FF), (0x400, 0x52F), (0x531, 0x587), (0x5D0, 0x5EA), (0x620, 0x64A),
    (0x904, 0x96F), (0xE01, 0xE5B), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2070, 0x209C),
    (0x2150, 0x218B), (0x2460, 0x24FF), (0x3041, 0x30FF), (0x3400, 0x3450), (0x4E00, 0x4F00), (0xAC00, 0xAD00),
    (0xF900, 0xFA10), (0xFB00, 0xFB4F), (0x10400, 0x1044F), (0x1D400, 0x1D7FF), (0x1F100, 0x1F1FF), (0x2F800, 0x2F900),
]  # fmt: skip


def learning_text(seed=7, lines=3000):
    """Lines of words with repeated parts, so that merges of several steps are learned."""
    draw = random.Random(seed)
    for _ in range(lines):
        yield " ".join(draw.choices(WORDS + KOREAN + EMOJI, weights=None, k=draw.randint(3, 12)))


def phrase(draw, words, most=9):
    text = draw.choice([" ", " ", "  ", ", ", "-", ""]).join(draw.choices(words, k=draw.randint(1, most)))
    text = draw.choice([str.lower, str.upper, str.title, str])(text)
    return text + draw.choice(["", ".", "!", "?!", "...", " 2026", " 3.14", " 1,000", " №7", "'s", "'S"])


def hangul(draw):
    text = "".join(chr(draw.randint(0xAC00, 0xD7A3)) for _ in range(draw.randint(1, 8)))
    return draw.choice([text, unicodedata.normalize("NFD", text), text + "\u11a8", text + "\u1161\u11ff"])


def marked(draw):
    """Bases with up to five marks in any order, composed, decomposed or as they come."""
    bases = "aeiouAEIOUnNcCsSyYxq가かハשلकéǭṩ1!"
    text = "".join(
        draw.choice(bases) + "".join(draw.choices(MARKS, k=draw.randint(0, 5))) for _ in range(draw.randint(1, 5))
    )
    return unicodedata.normalize(draw.choice(["NFC", "NFD", "NFKD"]), text) if draw.random() < 0.5 else text


def any_character(draw):
    while True:
        code = draw.randrange(draw.choice([0x250, 0x3000, 0x10000, 0x20000, 0x110000]))
        if not 0xD800 <= code < 0xE000:
            return chr(code)


def of_scripts(draw):
    first, last = draw.choice(SCRIPTS)
    return "".join(chr(draw.randint(first, last)) for _ in range(draw.randint(1, 12)))


def texts(seed=20261121):
    """(text) of every kind, some 2,600; equal ones are left out."""
    draw = random.Random(seed)
    some = lambda characters, most: "".join(draw.choices(characters, k=draw.randint(1, most)))
    kinds = {
        "phrase": (500, lambda: phrase(draw, WORDS)),
        "korean": (200, lambda: phrase(draw, KOREAN)),
        "hangul": (200, lambda: hangul(draw)),
        "emoji": (250, lambda: phrase(draw, EMOJI + WORDS[:9], 6)),
        "marks": (350, lambda: marked(draw)),
        "html": (100, lambda: phrase(draw, ENTITIES + WORDS[:9], 6)),
        "spaces": (150, lambda: "a".join(some(SPACES, 4) for _ in range(draw.randint(1, 5)))),
        "controls": (150, lambda: some(CONTROLS + "ab1", 12)),
        "cases": (150, lambda: some(CASES + "aB", 8)),
        "specials": (150, lambda: draw.choice(["", " ", "x"]).join(draw.choices(SPECIALS, k=draw.randint(1, 3)))),
        "scripts": (400, lambda: of_scripts(draw)),
        "any": (350, lambda: "".join(any_character(draw) for _ in range(draw.randint(1, 10)))),
    }
    found = dict.fromkeys(["", " ", "a", "A photo of a cat.", "!", "'", "''s", "s'", "\u0301", "\x00", "0" * 90])
    for count, make in kinds.values():
        for _ in range(count):
            found[make()] = None
    # Around the 75 tokens that have room, and far beyond.
    for size in (73, 74, 75, 76, 77, 78, 150):
        found[" ".join(["1"] * size)] = None
    found["ab" * 4000] = None
    found["여울" * 700] = None
    found[" ".join(draw.choices(WORDS, k=1500))] = None
    found["e" + "\u0301\u0327" * 300] = None
    return list(found)

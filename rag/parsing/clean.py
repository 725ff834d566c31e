"""Text as it should be read: no control characters, one form of each letter, words whole at the ends of lines. Pure."""

import re
import unicodedata

_DROPPED = dict.fromkeys(
    [
        *(code for code in range(0x20) if chr(code) not in "\t\n"),
        *range(0x7F, 0xA0),
        *(0xAD, 0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, 0xFFFC, 0xFFFE),  # soft hyphen, widths of zero, no letters
        *range(0x202A, 0x202F),  # directions, which show text otherwise than it is
        *range(0x2066, 0x206A),
        *range(0xE0000, 0xE0080),  # tags: text that nobody sees
        *range(0xD800, 0xE000),  # halves of a pair: no text can hold them
    ]
)
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\u2028\u2029\x85]")
_BLANK_RUN = re.compile(r"\n{3,}")
_MARKS = "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f"
_MARKS += "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_TOWER = re.compile(f"([{_MARKS}]{{30}})[{_MARKS}]+")  # no letter has so many, and bringing them in order takes hours
_CUT_AT_END = re.compile(r"(?<=[^\W\d_])-\n(?=[^\W\d_])")
_WRAPPED = re.compile(r"(?<=[^\s.:;!?…])[ \t]*\n[ \t]*(?=[^\W\d_A-ZÀ-ÖØ-Þ])")


def clean_lines(text: str) -> str:
    """Every line stays where it is, so that people can count to it."""
    shown = _TOWER.sub(r"\1", _LINE_ENDS.sub("\n", text).translate(_DROPPED))
    return "\n".join(line.rstrip(" \t") for line in unicodedata.normalize("NFC", shown).split("\n"))


def clean_text(text: str) -> str:
    """Lines are kept, of blank ones at most one."""
    return _BLANK_RUN.sub("\n\n", clean_lines(text)).strip()


def clean_page(text: str) -> str:
    """Of a printed page, whose lines end where the paper does: cut words and sentences are made whole."""
    whole = re.sub("[\x02\ufffe][ \t]*(?:\r\n?|\n)?", "-\n", text)
    lines = clean_text(whole)
    joined = _CUT_AT_END.sub(lambda cut: "" if lines[cut.end()].islower() else "-", lines)
    return _WRAPPED.sub(" ", joined)


def one_line(text: str | None, most: int = 200) -> str:
    return " ".join(clean_text(text or "").split())[:most]

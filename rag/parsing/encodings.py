"""Bytes as text: by their mark, by what they say, as UTF-8, and else as Windows writes Western Europe. Pure."""

import codecs
import re
import unicodedata

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16 does: it comes first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ENCODINGS = re.compile(r"(ascii|utf-?(8|16|32)|iso8859|cp\d|koi8|mac|gb|big5|shift_jis|euc|iso2022|hz)")
_LOOKED_AT = 8_192
_MOST_CONTROLS = 0.02  # of text


def decoded(content: bytes, told: str | None = None) -> str:
    """`told`: what the file or the mail says of itself; people's programs say it wrongly, so it may fail."""
    for encoding in (_marked(content), _known(told), _wide(content), "utf-8"):
        try:
            if encoding is not None:
                return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("cp1252", "replace")


def _known(told: str | None) -> str | None:
    """Python has codecs that no file may choose: of domain names (slow), of escapes."""
    try:
        name = codecs.lookup(told or "utf-8").name
    except (LookupError, ValueError):
        return None
    return name if told and _ENCODINGS.match(name) else None


def is_text(content: bytes) -> bool:
    """Whether people could read it: hardly a control character in its beginning."""
    start = content[:_LOOKED_AT]
    wide = _marked(content) or _wide(content)
    text = start.decode(wide or "utf-8", "ignore")
    if wide is None and len(text) < len(start) // 4:  # hardly any of it was UTF-8
        text = start.decode("cp1252", "ignore")
    controls = sum(unicodedata.category(letter) in ("Cc", "Cn", "Co") and letter not in "\t\n\r\f\v" for letter in text)
    return bool(text) and controls <= _MOST_CONTROLS * len(text)


def _marked(content: bytes) -> str | None:
    return next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None)


def _wide(content: bytes) -> str | None:
    """UTF-16 without a mark: nearly every other byte of Western text is zero."""
    start = content[:_LOOKED_AT]
    half = len(start) // 2
    if half < 4:
        return None
    if start[1::2].count(0) > 0.7 * half and start[::2].count(0) < 0.1 * half:
        return "utf-16-le"
    return "utf-16-be" if start[::2].count(0) > 0.7 * half and start[1::2].count(0) < 0.1 * half else None

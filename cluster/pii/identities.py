"""Numbers that states give to people and companies: NIF, NIE, CIF, social security, passports. Pure."""

import re
from collections.abc import Iterator

from cluster.pii import checksums
from cluster.pii.context import Near, near, words
from cluster.pii.spans import LIKELY, SURE, Kind, Span

_ID_WORDS = words(
    r"dni", r"d\.n\.i\.?", r"nif", r"n\.i\.f\.?", r"nie", r"n\.i\.e\.?", r"cif", r"c\.i\.f\.?", r"documento",
    r"identidad",
    r"identity", r"id card", r"national id", r"tax id", r"vat", r"identificaci[óo]n", r"identification", r"titular",
    r"alumn[oa]s?", r"paciente", r"don", r"do[ñn]a", r"interesad[oa]", r"cliente", r"extranjer[oa]s?", r"residencia",
    r"empresa", r"sociedad", r"company", r"proveedor", r"supplier",
)  # fmt: skip
_SOCIAL_WORDS = words(
    r"seguridad social", r"social security", r"nuss", r"n\.?u\.?s\.?s\.?", r"naf", r"afiliaci[óo]n", r"afiliad[oa]",
    r"s\.?s\.?", r"ssn", r"cotizaci[óo]n", r"segurado", r"asegurad[oa]",
)  # fmt: skip

# A first character before what must not stand before it: so the search leaps to characters that may begin a match.
_NIF = re.compile(r"[0-9](?<![\w.,/-][0-9])(?:[0-9]{6,7}|[0-9]?\.[0-9]{3}\.[0-9]{3})[ -]?[A-Za-z](?![\w@])")
_LETTERED = re.compile(
    r"[A-Za-z](?<![\w.@/-][A-Za-z])[ -]?(?:[0-9]{7}|[0-9]\.[0-9]{3}\.[0-9]{3}|[0-9]{2}\.[0-9]{3}\.[0-9]{2})"
    r"[ -]?[0-9A-Za-z](?![\w@])"
)
_SOCIAL = re.compile(r"[0-9](?<![\w.,/-][0-9])[0-9](?:[ /-]?[0-9]{7,8}[ /-]?[0-9]{2})(?![\w@]|[.,][0-9])")
_US_SOCIAL = re.compile(r"[0-9](?<![\w.,/-][0-9])[0-9]{2}-[0-9]{2}-[0-9]{4}(?![\w@-])")
_NOT_ALNUM = re.compile(r"[^0-9A-Za-z]")


def find(text: str, low: str) -> Iterator[Span]:
    yield from _nifs(text, low)
    yield from _lettered(text, low)
    yield from _social(text, low)


def _nifs(text: str, low: str) -> Iterator[Span]:
    for match in _NIF.finditer(text):
        plain = _NOT_ALNUM.sub("", match.group()).upper()
        digits, letter = plain[:-1].zfill(8), plain[-1]
        if not checksums.nif(digits, letter):
            continue
        around = near(low, match.start(), match.end(), _ID_WORDS)
        if len(plain) < 9 and around.says != 1:  # seven digits and a letter are many things
            continue
        yield _judged("nif", match, around, "its letter fits its number")


def _lettered(text: str, low: str) -> Iterator[Span]:
    """NIE, and the numbers of companies and of people without a card, all a letter, seven digits and a control."""
    for match in _LETTERED.finditer(text):
        plain = _NOT_ALNUM.sub("", match.group()).upper()
        first, digits, last = plain[0], plain[1:8], plain[8]
        if first in "XYZ" and last.isalpha() and checksums.nie(first, digits, last):
            yield _judged("nie", match, near(low, *match.span(), _ID_WORDS), "its letter fits its number")
        elif first in "KLM" and last.isalpha() and checksums.nif(f"0{digits}", last):
            yield _judged("nif", match, near(low, *match.span(), _ID_WORDS), "its letter fits its number")
        elif first in "ABCDEFGHJNPQRSUVW" and checksums.cif(first, digits, last):
            yield _judged("cif", match, near(low, *match.span(), _ID_WORDS), "its control fits its number")


def _social(text: str, low: str) -> Iterator[Span]:
    for match in _SOCIAL.finditer(text):
        digits = _NOT_ALNUM.sub("", match.group())
        if len(digits) == 11:
            digits = f"{digits[:2]}0{digits[2:]}"
        if len(digits) == 12 and checksums.social_security(digits):
            around = near(low, *match.span(), _SOCIAL_WORDS)
            yield _judged("social_security", match, around, "its control fits its number")
    for match in _US_SOCIAL.finditer(text):
        area, group, number = match.group().split("-")
        if area not in ("000", "666") and area < "900" and group != "00" and number != "0000":
            around = near(low, *match.span(), _SOCIAL_WORDS)
            yield _judged("social_security", match, around, "written as one", plain=0.6)


def _judged(kind: Kind, match: re.Match[str], around: Near, why: str, plain: float = LIKELY + 0.1) -> Span:
    return judged(Span(kind, match.start(), match.end(), plain, why), around)


def judged(span: Span, around: Near, doubt: float = 0.5) -> Span:
    """With what the words around it say: surer, less sure, or as it was."""
    if around.says > 0:
        return span._replace(confidence=max(span.confidence, SURE), reason=f"{span.reason}; near `{around.word}`")
    if around.says < 0:
        return span._replace(
            confidence=max(0.0, span.confidence - doubt), reason=f"{span.reason}; near `{around.word}`"
        )
    return span

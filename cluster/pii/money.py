"""Bank accounts and payment cards. Pure."""

import re
from collections.abc import Iterator

from cluster.pii import checksums
from cluster.pii.context import near, words
from cluster.pii.identities import judged
from cluster.pii.spans import LIKELY, Span

_IBAN_WORDS = words(r"iban", r"cuenta", r"account", r"transferencia", r"transfer", r"domicilia\w*", r"banco", r"bank")
_CARD_WORDS = words(
    r"tarjeta", r"card", r"visa", r"mastercard", r"amex", r"american express", r"maestro", r"diners", r"discover",
    r"jcb", r"unionpay", r"pan", r"cr[ée]dito", r"credit", r"d[ée]bito", r"debit", r"cvv", r"cvc", r"caduca\w*",
    r"cargo", r"pago", r"payment",
)  # fmt: skip
_IBAN = re.compile(r"[A-Za-z](?<![\w@][A-Za-z])[A-Za-z][0-9]{2}(?:[ \u00a0.-]?[0-9A-Za-z]){11,30}")
_CARD = re.compile(r"[0-9](?<![\w@][0-9])(?<![0-9][.,/-][0-9])(?:[ \u00a0.-]?[0-9]){12,18}")
_LONG = (16, 19, 18, 17)
_RANGES = (
    ("Visa", 40, 49, (16, 19, 13)), ("Mastercard", 51, 55, (16,)), ("Mastercard", 2221, 2720, (16,)),
    ("American Express", 34, 34, (15,)), ("American Express", 37, 37, (15,)),
    ("Diners Club", 3000, 3059, (14, *_LONG)), ("Diners Club", 36, 36, (14, *_LONG)),
    ("Diners Club", 38, 39, (14, *_LONG)), ("Discover", 6011, 6011, _LONG), ("Discover", 6440, 6599, _LONG),
    ("JCB", 3528, 3589, _LONG), ("UnionPay", 62, 62, _LONG), ("Maestro", 50, 50, (*_LONG, 13, 14, 15)),
    ("Maestro", 56, 58, (*_LONG, 13, 14, 15)), ("Maestro", 63, 63, (*_LONG, 13, 14, 15)),
    ("Maestro", 67, 67, (*_LONG, 13, 14, 15)), ("Mir", 2200, 2204, _LONG),
)  # fmt: skip
"""Who gives cards, the first two or four digits from and to, and how many digits there are, by ISO 7812."""
_ROW = re.compile(r"[0-9]+")
_GAPS = " \u00a0.-"
_SHAPES = frozenset(
    ((4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 4, 1), (4, 4, 5), (6, 13), (8, 8), (5, 5, 5))
)


def find(text: str, low: str) -> Iterator[Span]:
    yield from _ibans(text, low)
    yield from _cards(text, low)


def _ibans(text: str, low: str) -> Iterator[Span]:
    """A match may have swallowed the words after it: as many characters count as its country gives. And one that is
    none may have swallowed the beginning of one."""
    match = _IBAN.search(text)
    while match is not None:
        span = _iban_at(text, low, match)
        if span is not None:
            yield span
        match = _IBAN.search(text, span.end if span is not None else match.start() + 4)


def _iban_at(text: str, low: str, match: re.Match[str]) -> Span | None:
    found, start = match.group(), match.start()
    length = checksums.IBAN_LENGTHS.get(found[:2].upper())
    size = _size_of(found, length) if length else None
    if size is None or text[start + size : start + size + 1].isalnum():
        return None
    plain = _plain(found[:size]).upper()
    if not checksums.iban(plain):
        return None
    around = near(low, start, start + size, _IBAN_WORDS)
    return judged(Span("iban", start, start + size, 0.97, f"length and check digits of {plain[:2]}"), around, 0.2)


def _cards(text: str, low: str) -> Iterator[Span]:
    match = _CARD.search(text)
    while match is not None:
        span = _card_at(text, low, match)
        if span is not None:
            yield span
        match = _CARD.search(text, span.end if span is not None else _group_ends(match))


def _group_ends(match: re.Match[str]) -> int:
    """Where the first digits in a row end: another number may begin after them."""
    group = _ROW.match(match.string, match.start())
    return group.end() if group is not None else match.end()


def _card_at(text: str, low: str, match: re.Match[str]) -> Span | None:
    found, start = match.group(), match.start()
    digits = _plain(found)
    for name, length in issuers_of(digits):
        size = _size_of(found, length)
        if size is None or not checksums.luhn(digits[:length]):
            continue
        if not _goes_on(text, start + size) and _well_grouped(found[:size]):
            span = Span("card", start, start + size, LIKELY + 0.05, f"range and check digit of {name}")
            return judged(span, near(low, start, start + size, _CARD_WORDS))
    return None


def _goes_on(text: str, end: int) -> bool:
    behind = text[end : end + 2]
    return behind[:1].isalnum() or (behind[:1] in (".", ",", "-", "/") and behind[1:].isdigit())


def issuers_of(digits: str) -> Iterator[tuple[str, int]]:
    """Whose range these digits begin in, and how many of them a number of theirs has, the usual length first."""
    if digits[0] not in "23456":
        return
    two, four = int(digits[:2]), int(digits[:4])
    for name, first, last, lengths in _RANGES:
        if first <= (two if last < 100 else four) <= last:
            yield from ((name, length) for length in lengths if length <= len(digits))


def _well_grouped(found: str) -> bool:
    """Digits in a row, or in groups as they stand on cards, all apart in the same way."""
    gaps = {one for one in found if not one.isdigit()}
    if not gaps:
        return True
    return len(gaps) == 1 and tuple(len(group) for group in re.split(r"[^0-9]", found)) in _SHAPES


def _size_of(found: str, count: int) -> int | None:
    """Characters that hold the first so many letters and digits; None where there are fewer."""
    left = count
    for at, one in enumerate(found):
        if one not in _GAPS:
            left -= 1
            if left == 0:
                return at + 1
    return None


def _plain(found: str) -> str:
    return "".join(one for one in found if one not in _GAPS)

"""All that stands in a text: one pass tells which recognisers have anything to look at, and only those look. Pure.

Every pattern is bounded, so that the time taken grows with the text and with nothing else.
"""

import re
from collections.abc import Callable, Iterator

from cluster.pii import contacts, identities, led, money, secrets_found
from cluster.pii.context import lowered
from cluster.pii.spans import Span, settled

LEAST = 0.5
"""The usual confidence from which a span counts."""

STRETCH = 16_000  # characters of a document that are looked at in one go
# Each group is told once: whether there are digits close together, an @, colons between hexadecimal digits.
_DIGITS = re.compile(r"[0-9](?:[^0-9\n]{0,2}[0-9]){4}")
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")

Recogniser = Callable[[str, str], Iterator[Span]]
"""Asked with a text and the same in lower case."""


def scan(text: str, least: float = LEAST) -> tuple[Span, ...]:
    """In the order of the text, none over another."""
    found: list[Span] = []
    low = lowered(text)
    for recogniser in _worth_asking(text):
        found += recogniser(text, low)
    return settled(found, least)


def scan_long(text: str, least: float = LEAST) -> tuple[Span, ...]:
    """The same of a document, a stretch at a time: others may run in between. Cut at ends of lines, and not within a
    private key."""
    found: list[Span] = []
    at = 0
    while at < len(text):
        end = _stretch_ends(text, at)
        found += (span._replace(start=span.start + at, end=span.end + at) for span in scan(text[at:end], least))
        at = end
    return tuple(found)


def _stretch_ends(text: str, at: int) -> int:
    end = at + STRETCH
    if end >= len(text):
        return len(text)
    key = text.rfind("-----BEGIN ", at, end)
    if key != -1 and text.find("-----END ", key, end) == -1:
        closed = text.find("-----END ", end, end + STRETCH)
        end = end if closed == -1 else closed + 64
    for gap in ("\n", " "):
        cut = text.rfind(gap, at + STRETCH // 2, end)
        if cut != -1:
            return cut + 1
    return min(end, len(text))


def _worth_asking(text: str) -> Iterator[Recogniser]:
    yield secrets_found.find
    if "@" in text:
        yield contacts.emails
    digits = _DIGITS.search(text) is not None
    if digits or _COLONS.search(text) is not None:
        yield contacts.addresses
    if digits:
        yield identities.find
        yield money.find
        yield contacts.phones
        yield led.find
        yield led.shapes

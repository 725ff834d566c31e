"""What was found in a text: where it stands, what it is, how sure that is, and why. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, get_args

Kind = Literal[
    "nif", "nie", "cif", "iban", "card", "phone", "email", "ip", "passport", "social_security", "medical_record",
    "secret", "person", "place", "organisation",
]  # fmt: skip
"""The last three are names: only a model that the operator brings finds them."""
KINDS: tuple[Kind, ...] = get_args(Kind)

SURE, LIKELY, NOT_SURE = 0.99, 0.75, 0.55


class Span(NamedTuple):
    """`start` and `end` count characters. `confidence` is 0..1. `reason` says what speaks for it, and never its
    value."""

    kind: Kind
    start: int
    end: int
    confidence: float
    reason: str


def settled(spans: Iterable[Span], least: float = 0.0) -> tuple[Span, ...]:
    """In the order of the text, none over another: of two that overlap stays the surer one, or else the longer."""
    kept: list[Span] = []
    for span in sorted(spans, key=_place):
        if span.confidence < least:
            continue
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
        elif (span.confidence, span.end - span.start) > (kept[-1].confidence, kept[-1].end - kept[-1].start):
            kept[-1] = span
    return tuple(kept)


def _place(span: Span) -> tuple[int, int]:
    return span.start, span.end


def counted(spans: Iterable[Span]) -> Mapping[Kind, int]:
    """How many of each kind, in the order of `KINDS`."""
    each = Counter(span.kind for span in spans)
    return {kind: each[kind] for kind in KINDS if each[kind]}


def told(counts: Mapping[Kind, int]) -> str:
    """As `email=2,iban=1`: kinds and counts, never a value."""
    return ",".join(f"{kind}={count}" for kind, count in counts.items())

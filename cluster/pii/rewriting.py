"""A text as its plan wants it, and where each of its places has gone. Pure."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cluster.pii.policy import Plan
from cluster.pii.pseudonyms import blank
from cluster.pii.spans import Kind, Span

Naming = Callable[[Kind, str], str]
"""A pseudonym for a value of this kind."""


class Change(NamedTuple):
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Rewritten:
    """`changes` are in the order of the old text."""

    text: str
    changes: tuple[Change, ...]

    def place(self, at: int) -> int:
        """Where a place of the old text is now. One within what was replaced is behind that."""
        number = bisect_right(self.changes, at, key=lambda change: change.start) - 1
        shift = sum(len(change.text) - (change.end - change.start) for change in self.changes[: max(number, 0)])
        if number < 0:
            return at
        last = self.changes[number]
        if at == last.start:
            return at + shift
        moved = last.start + shift + len(last.text)
        return moved + max(0, at - last.end)


def rewritten(text: str, spans: Iterable[Span], plan: Plan, naming: Naming) -> Rewritten:
    """What is only tagged stays; what is refused should not come here, and is blanked."""
    changes = tuple(
        Change(span.start, span.end, _instead(plan, span.kind, text[span.start : span.end], naming))
        for span in spans
        if plan.policy_of(span.kind) in ("redact", "pseudonymise", "refuse")
    )
    return Rewritten(replaced(text, changes), changes)


def replaced(text: str, changes: Sequence[Change]) -> str:
    if not changes:
        return text
    parts: list[str] = []
    at = 0
    for change in changes:
        parts += (text[at : change.start], change.text)
        at = change.end
    return "".join((*parts, text[at:]))


def _instead(plan: Plan, kind: Kind, value: str, naming: Naming) -> str:
    return naming(kind, value) if plan.policy_of(kind) == "pseudonymise" else blank(kind)

"""How well recognisers do on the labelled texts: recall and precision, by kind and over all."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.pii.spans import Span

FOLDER = Path(__file__).parent.parent / "data" / "pii"
PARTS = ("tuning", "held_out", "hard")
SLACK = 1  # characters that a span may hold beside the value


@dataclass(frozen=True, slots=True)
class Labelled:
    text: str
    spans: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """`expected` of which so many were `found` whole, and `reported` of which so many were `right`."""

    expected: Counter[str]
    found: Counter[str]
    reported: Counter[str]
    right: Counter[str]
    wrong: tuple[str, ...]  # what was missed, or should not have been found, for whoever tunes

    @property
    def recall(self) -> float:
        return self.found.total() / max(1, self.expected.total())

    @property
    def precision(self) -> float:
        return self.right.total() / max(1, self.reported.total())


def labelled(part: str) -> list[Labelled]:
    lines = (FOLDER / f"{part}.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    return [Labelled(one["text"], tuple((kind, start, end) for kind, start, end in one["spans"])) for one in records]


def scores(texts: Iterable[Labelled], scan: Callable[[str], Sequence[Span]]) -> Scores:
    expected, found, reported, right = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    wrong: list[str] = []
    for one in texts:
        spans = scan(one.text)
        expected.update(kind for kind, _, _ in one.spans)
        reported.update(span.kind for span in spans)
        for kind, start, end in one.spans:
            if any(_covers(span, kind, start, end) for span in spans):
                found[kind] += 1
            else:
                wrong.append(f"missed {kind}: {one.text[max(0, start - 30) : end + 10]!r}")
        for span in spans:
            if any(_covers(span, *label) for label in one.spans):
                right[span.kind] += 1
            else:
                wrong.append(
                    f"wrongly {span.kind} ({span.reason}): {one.text[max(0, span.start - 30) : span.end + 10]!r}"
                )
    return Scores(expected, found, reported, right, tuple(wrong))


def _covers(span: Span, kind: str, start: int, end: int) -> bool:
    """All of the value, and hardly more."""
    return span.kind == kind and start - SLACK <= span.start <= start and end <= span.end <= end + SLACK

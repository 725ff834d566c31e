"""How well questions find the documents that answer them: the share of first hits, and nDCG@10. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cluster.knowledge import Locator

DEEP = 10


NOWHERE = Locator()


@dataclass(frozen=True, slots=True)
class Expected:
    """A question, and where its answer stands. `locator` NOWHERE: it is not said where in the file."""

    question: str
    file: str
    language: str = ""
    locator: Locator = NOWHERE


@dataclass(frozen=True, slots=True)
class Asked:
    """`rank` of the first hit in the right file, from 1; None: not among the first ten. `placed`: that hit, or another
    of that file, stands where it was said to; None: it was not said."""

    expected: Expected
    rank: int | None
    placed: bool | None


@dataclass(frozen=True, slots=True)
class Quality:
    """Of all questions in one language; "" where they do not say, "all" of all. Each is a share."""

    language: str
    questions: int
    first: float  # their first hit was right
    found: float  # the right file was among the first ten hits
    ndcg: float
    placed: float | None  # of those that say where: a hit stood there


def judged(expected: Expected, hits: Sequence[tuple[str, Locator]]) -> Asked:
    """`hits`: file and place of each, the best first."""
    right = [
        (rank, place) for rank, (file, place) in enumerate(hits[:DEEP], 1) if _same_file(file, expected.file)
    ]  # fmt: skip
    placed = None if expected.locator == NOWHERE else any(place == expected.locator for _, place in right)
    return Asked(expected, right[0][0] if right else None, placed)


def qualities(asked: Sequence[Asked]) -> tuple[Quality, ...]:
    """By language, then all together. As there is one right file for each question, its ideal gain is 1."""
    languages = sorted({one.expected.language for one in asked})
    each = [_quality(name, [one for one in asked if one.expected.language == name]) for name in languages]
    return tuple(each) if languages == [""] else (*each, _quality("all", asked))


def _quality(language: str, asked: Sequence[Asked]) -> Quality:
    ranks = [one.rank for one in asked]
    placed = [one.placed for one in asked if one.placed is not None]
    return Quality(
        language,
        len(ranks),
        _mean(rank == 1 for rank in ranks),
        _mean(rank is not None for rank in ranks),
        _mean(0.0 if rank is None else 1 / math.log2(rank + 1) for rank in ranks),
        _mean(placed) if placed else None,
    )


def _mean(values: Iterable[float]) -> float:
    every = list(values)
    return sum(every) / len(every)


def _same_file(found: str, expected: str) -> bool:
    """A questions file may name files from a folder further up or further down than the one that was read."""
    return found == expected or found.endswith(f"/{expected}") or expected.endswith(f"/{found}")

"""What a check is, and what can come of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cli.conformance.server import Server

Verdict = Literal["pass", "fail", "not offered", "not tried"]
Subject = Literal["models", "errors", "headers", "streams", "usage", "answers", "embeddings", "http", "load"]


@dataclass(frozen=True, slots=True)
class Seen:
    """`evidence` is what the server did, in a line."""

    verdict: Verdict
    evidence: str


@dataclass(frozen=True, slots=True)
class Check:
    """`right` is what a good server does. One that waits for a server to lose patience runs `beside` the others."""

    name: str
    subject: Subject
    right: str
    advice: str
    run: Callable[["Server"], Awaitable[Seen]]
    deadline_s: float = 120.0  # of a slow server; a fast one needs a second
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    check: Check
    seen: Seen
    took_s: float


def passed(evidence: str) -> Seen:
    return Seen("pass", evidence)


def failed(evidence: str) -> Seen:
    return Seen("fail", evidence)


def not_offered(evidence: str) -> Seen:
    return Seen("not offered", evidence)


def not_tried(evidence: str) -> Seen:
    return Seen("not tried", evidence)


def judged(problems: Mapping[str, str | None]) -> Seen:
    """Of one thing that was tried in several places: what is wrong in each, None where nothing is."""
    wrong = [f"{place}: {problem}" for place, problem in problems.items() if problem is not None]
    if wrong:
        return failed("; ".join(wrong))
    return passed(", ".join(problems)) if problems else not_offered("no route that this could be tried on")

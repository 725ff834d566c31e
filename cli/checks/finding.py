"""What a check says: a verdict, what was found, and the command or step that mends it."""

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cli.checks.situation import Situation

Verdict = Literal["ok", "warn", "fail"]
"""warn: it works, and somebody should know. fail: something must be mended."""
Topic = Literal["general", "net", "gpu", "engine", "disk"]


@dataclass(frozen=True, slots=True)
class Result:
    verdict: Verdict
    detail: str
    fix: str = ""  # "" where nothing is wrong


def ok(detail: str) -> Result:
    return Result("ok", detail)


def warn(detail: str, fix: str) -> Result:
    return Result("warn", detail, fix)


def fail(detail: str, fix: str) -> Result:
    return Result("fail", detail, fix)


def word(path: Path) -> str:
    """A path in a command that can be pasted."""
    return shlex.quote(str(path))


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor. `fix` is the command or step that mends it; "" where nothing is wrong."""

    name: str
    verdict: Verdict
    detail: str
    fix: str = ""
    topic: Topic = "general"


Look = Callable[["Situation"], Iterable[Result]]
"""Gives a result for each fault, one where all is well, and none where there is nothing to look at."""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    topic: Topic
    look: Look
    within_s: float = 15.0

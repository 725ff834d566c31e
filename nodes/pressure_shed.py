"""What a machine that is short of memory gives up, and in which order: engines and a level in, one step out. Pure.

First what costs nothing, caches of earlier prompts; then engines, one at a time, the least valuable first: each look
that follows may find that it was enough.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from nodes.pressure import Pressure
from nodes.snapshot import EngineId, EngineState

TRIM_S = 3.0  # what caches gave back shows by then
SETTLE_S = 1.0  # what an engine held is free soon after it has gone


@dataclass(frozen=True, slots=True)
class Holding:
    """An engine, as far as its worth goes."""

    engine_id: EngineId
    state: EngineState
    on_demand: bool  # its model sleeps while nobody asks: it comes back when somebody does
    busy: bool
    used_s: float  # when it last worked, or became ready
    held_bytes: int
    gives_back: bool  # it has caches that it can do without


@dataclass(frozen=True, slots=True)
class Step:
    """Trim every engine in `engines`, or shed the only one."""

    kind: Literal["trim", "drain", "stop"]
    engines: tuple[EngineId, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Shedding:
    """What was done so far in this spell."""

    short_s: float | None = None  # since when every reading was short or worse
    trimmed: bool = False
    left_s: float | None = None  # when an engine was last seen leaving


def least_valuable_first(engines: Iterable[Holding]) -> list[Holding]:
    """On-demand models before those that always run, idle before busy, longest unused, largest; ties by id."""
    return sorted(engines, key=lambda one: (not one.on_demand, one.busy, one.used_s, -one.held_bytes, one.engine_id))


def next_step(
    engines: Sequence[Holding], pressure: Pressure, before: Shedding, now_s: float
) -> tuple[Shedding, Step | None]:
    """By this moment's reading, not by the level that still holds: what was enough a second ago is enough."""
    if not pressure.reads_at_least("short"):
        return Shedding(), None
    leaving = any(one.state in ("draining", "stopping") for one in engines)
    seen = Shedding(
        short_s=now_s if before.short_s is None else before.short_s,
        trimmed=before.trimmed,
        left_s=now_s if leaving else before.left_s,
    )
    if pressure.reads_at_least("critical"):
        return seen, _stop(engines, pressure, seen, now_s)
    givers = tuple(sorted(one.engine_id for one in engines if one.gives_back and one.state == "ready"))
    if givers and not seen.trimmed:
        return Shedding(seen.short_s, trimmed=True, left_s=seen.left_s), Step("trim", givers, pressure.reason)
    assert seen.short_s is not None
    if now_s - seen.short_s < TRIM_S or leaving or _settling(seen, now_s):
        return seen, None
    return seen, _step("drain", _running(engines), pressure)


def _stop(engines: Sequence[Holding], pressure: Pressure, seen: Shedding, now_s: float) -> Step | None:
    """One that leaves already has said goodbye: it is the first to go."""
    if any(one.state == "stopping" for one in engines):
        return None
    draining = [one for one in engines if one.state == "draining"]
    if draining:
        return _step("stop", draining, pressure)
    return None if _settling(seen, now_s) else _step("stop", _running(engines), pressure)


def _settling(seen: Shedding, now_s: float) -> bool:
    return seen.left_s is not None and now_s - seen.left_s < SETTLE_S


def _running(engines: Iterable[Holding]) -> list[Holding]:
    return [one for one in engines if one.state in ("starting", "ready")]


def _step(kind: Literal["drain", "stop"], engines: Sequence[Holding], pressure: Pressure) -> Step | None:
    chosen = least_valuable_first(engines)[:1]
    return Step(kind, (chosen[0].engine_id,), pressure.reason) if chosen else None

"""How short of memory a machine is, on a scale of four, and why: readings and a clock in, a level out. Pure.

A level rises at once, and falls only after some seconds in which no reading would have called for it: memory that comes
and goes must not open and close the door with each look. Page cache counts as free everywhere, so that a machine which
has read large files is not taken for a short one.
"""

from dataclasses import dataclass
from typing import get_args

from inventory.hardware import default_reserve
from inventory.memory_state import MemoryState
from inventory.sizes import format_bytes
from nodes.snapshot import PressureLevel

LEVELS: tuple[PressureLevel, ...] = get_args(PressureLevel)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Parts of what the operating system is left with (`margin`), and seconds."""

    tight: float = 1 / 2  # placement lets what runs keep its place down to here, and no further
    short: float = 1 / 4
    critical: float = 1 / 8  # of 1 GiB: 128 MiB, which a program takes in less than a second
    stalled_percent: float = 20.0  # programs wait for a fifth of the time: the lines above count twice
    fall_after_s: float = 5.0
    # An operator's reserve says what a machine's owner wants to have, and may be 0 or half of the machine. How soon a
    # kernel gets into trouble depends on the size of the machine alone.
    least_part: float = 1 / 32
    most_part: float = 1 / 4


@dataclass(frozen=True, slots=True)
class Pressure:
    """`level` holds; `reading` is what the last look alone would say."""

    level: PressureLevel = "calm"
    reason: str = ""
    since_s: float = 0.0
    reading: PressureLevel = "calm"
    eased_s: float | None = None  # since when every reading was lower than the level
    eased_to: PressureLevel = "calm"  # the highest of these

    def at_least(self, level: PressureLevel) -> bool:
        return LEVELS.index(self.level) >= LEVELS.index(level)

    def reads_at_least(self, level: PressureLevel) -> bool:
        return LEVELS.index(self.reading) >= LEVELS.index(level)


def margin(total_bytes: int, reserved_bytes: int, thresholds: Thresholds = Thresholds()) -> int:
    """What should be left to the operating system at the least: all lines are parts of it."""
    wanted = min(reserved_bytes, default_reserve(total_bytes))
    least, most = total_bytes * thresholds.least_part, total_bytes * thresholds.most_part
    return int(min(max(wanted, least), most))


def read(state: MemoryState, reserved_bytes: int, thresholds: Thresholds = Thresholds()) -> tuple[PressureLevel, str]:
    """What one look says, and its words for people."""
    kept = margin(state.total_bytes, reserved_bytes, thresholds)
    stalled = state.stalled_percent is not None and state.stalled_percent >= thresholds.stalled_percent
    waits = stalled or state.verdict in ("warning", "critical")
    lines: tuple[tuple[PressureLevel, float], ...] = (
        ("critical", thresholds.critical),
        ("short", thresholds.short),
        ("tight", thresholds.tight),
    )
    told = f"{format_bytes(state.available_bytes)} available of {format_bytes(state.total_bytes)}"
    if stalled:
        told += f", and programs wait for memory {state.stalled_percent:.0f} % of the time"
    elif waits:
        told += f", and the system calls its memory pressure {state.verdict}"
    for level, part in lines:
        if state.available_bytes < kept * part * (2 if waits else 1):
            return level, told
    return ("tight", told) if stalled or state.verdict == "critical" else ("calm", told)


def judged(before: Pressure, reading: PressureLevel, told: str, now_s: float, thresholds: Thresholds) -> Pressure:
    """What holds after this reading."""
    rank, held = LEVELS.index(reading), LEVELS.index(before.level)
    if rank > held:
        return Pressure(reading, told, now_s, reading)
    if rank == held:
        return Pressure(before.level, told if rank else "", before.since_s, reading)
    eased_s = now_s if before.eased_s is None else before.eased_s
    highest = LEVELS[max(rank, LEVELS.index(before.eased_to) if before.eased_s is not None else 0)]
    if now_s - eased_s >= thresholds.fall_after_s:
        return Pressure(highest, told if highest != "calm" else "", now_s, reading)
    return Pressure(before.level, before.reason, before.since_s, reading, eased_s, highest)

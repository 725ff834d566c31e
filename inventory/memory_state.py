"""How much main memory is left at this instant, and whether programs already wait for it: asked about once a second."""

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from inventory.cgroup import MemoryLimit, memory_limits

Verdict = Literal["fine", "warning", "critical"]
_VERDICTS: dict[int, Verdict] = {1: "fine", 2: "warning", 4: "critical"}  # of macOS
_FULL = re.compile(r"^full avg10=(\d+(?:\.\d+)?)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MemoryState:
    """Of the machine, or of the container around this process where that has less left."""

    available_bytes: int  # what programs can still have before the kernel must end one; page cache counts as free
    total_bytes: int
    stalled_percent: float | None = None  # of the last ten seconds, in which nothing ran for want of memory (Linux)
    verdict: Verdict | None = None  # the system's own (macOS)


def read_memory_state(root: Path = Path("/")) -> MemoryState:
    memory = psutil.virtual_memory()
    stalled = stalled_percent(_text(root / "proc/pressure/memory"))
    machine = MemoryState(memory.available, memory.total, stalled, _verdict())
    return tightest(machine, memory_limits(root))


def tightest(machine: MemoryState, limits: tuple[MemoryLimit, ...]) -> MemoryState:
    """Where the least is left. Stalls are the machine's: cgroups of version 1 do not tell theirs."""
    states = [machine]
    for limit in limits:
        if limit.used_bytes is not None:
            left = max(0, limit.total_bytes - limit.used_bytes)
            states.append(MemoryState(left, limit.total_bytes, machine.stalled_percent, machine.verdict))
    return min(states, key=lambda state: state.available_bytes)


def stalled_percent(pressure: str) -> float | None:
    """From /proc/pressure/memory; None where the kernel does not keep it."""
    found = _FULL.search(pressure)
    return float(found.group(1)) if found else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _verdict() -> Verdict | None:
    if not psutil.MACOS:
        return None
    level = ctypes.c_int(0)
    size = ctypes.c_size_t(ctypes.sizeof(level))
    name = b"kern.memorystatus_vm_pressure_level"
    failed = ctypes.CDLL(None).sysctlbyname(name, ctypes.byref(level), ctypes.byref(size), None, 0)
    return None if failed else _VERDICTS.get(level.value)

"""Whether an engine may start beside what runs: by the kernel's figures and by what was promised. Pure.

The head decided by an older report, and others may have started something since. An engine that is started all the same
makes the kernel choose who must end.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from inventory.hardware import MemoryPool, default_reserve
from inventory.sizes import format_bytes
from nodes.orders import EngineSpec
from nodes.pressure import Pressure
from nodes.snapshot import EngineKind

_SPLIT: frozenset[EngineKind] = frozenset(("llamacpp", "vllm"))  # these use a GPU's own memory where there is one


@dataclass(frozen=True, slots=True)
class Room:
    """Main memory as it is now, with all that runs here."""

    pressure: Pressure
    available_bytes: int  # by the kernel, at this moment
    main: MemoryPool | None  # by the last survey: without our engines
    has_vram: bool
    promised_bytes: int  # what running engines need at their peak, whatever they hold now

    @property
    def kept_bytes(self) -> int:
        """Half of what an operating system is left with at the least, as placement allows to what runs."""
        if self.main is None:
            return 0
        return min(self.main.reserved_bytes, default_reserve(self.main.total_bytes)) // 2


def why_not(spec: EngineSpec, peak_bytes: int, room: Room) -> str | None:
    """`peak_bytes` is what it took when it ran here before, 0 where it did not. None: it may start."""
    if room.pressure.level != "calm":
        return f"waits for memory: {room.pressure.reason}"
    needed = needed_bytes(spec, peak_bytes)
    if not needed or (room.has_vram and spec.kind in _SPLIT):
        return None
    free = room.available_bytes - room.kept_bytes
    if room.main is not None and room.main.used_by_others_bytes is not None:
        for_engines = room.main.total_bytes - room.main.used_by_others_bytes
        free = min(free, for_engines - room.promised_bytes - room.kept_bytes)
    if needed <= free:
        return None
    return f"waits for memory: needs {format_bytes(needed)}, and {format_bytes(max(0, free))} are free for it"


def needed_bytes(spec: EngineSpec, peak_bytes: int) -> int:
    """0 where a head of an older version does not say, and it never ran here."""
    return max(spec.need_bytes, peak_bytes)


def promised_bytes(running: Iterable[EngineSpec]) -> int:
    return sum(spec.need_bytes for spec in running)


def shed_reason(spec: EngineSpec, peak_bytes: int, told: str, kept_bytes: int) -> str:
    needed = needed_bytes(spec, peak_bytes)
    back = f"; back when {format_bytes(needed + kept_bytes)} are free" if needed else "; back when memory is free"
    return f"stopped for memory: {told}{back}"

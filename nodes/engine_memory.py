"""What each engine of this machine holds of main memory, now and at its peak, looked at every few seconds."""

from collections.abc import Iterable
from dataclasses import replace

from inventory.clock import Clock
from inventory.host_memory import with_descendants
from inventory.process_memory import held_bytes
from nodes.snapshot import EngineId, EngineSnapshot

LOOK_EVERY_S = 3.0

_Generation = tuple[EngineId, int]


class EngineMemories:
    """`look` is called in a thread, `told` by the event loop: each replaces or reads one dictionary at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looked_s: float | None = None
        self._now: dict[_Generation, int] = {}
        self._peak: dict[_Generation, int] = {}

    def look(self, engines: Iterable[EngineSnapshot]) -> None:
        now_s = self._clock.monotonic_s()
        if self._looked_s is not None and now_s < self._looked_s + LOOK_EVERY_S:
            return
        self._looked_s = now_s
        found: dict[_Generation, int] = {}
        for engine in engines:
            held = held_bytes(with_descendants(frozenset((engine.pid,)))) if engine.pid is not None else None
            if held is not None:
                found[engine.engine_id, engine.generation] = held
        self._peak = {which: max(held, self._peak.get(which, 0)) for which, held in found.items()}
        self._now = found

    def told(self, engines: Iterable[EngineSnapshot]) -> tuple[EngineSnapshot, ...]:
        """With what is known of each."""
        now, peak = self._now, self._peak
        return tuple(
            replace(engine, memory_bytes=now.get(which), memory_peak_bytes=peak.get(which))
            for engine in engines
            if (which := (engine.engine_id, engine.generation))
        )

"""What each engine of this machine holds of memory, now and at its peak, and what it says itself that it took.

Looked at every few seconds. While an engine loads, only what it has for itself counts towards its peak: the pages of
files that it reads its weights from are page cache once it is done with them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from inventory.clock import Clock
from inventory.host_memory import with_descendants
from inventory.probe_nvidia import gpu_bytes_by_process
from inventory.process_memory import HeldMemory, held_by
from nodes.engines.accounts import copied_bytes, items_in_load, items_in_log
from nodes.snapshot import EngineId, EngineSnapshot, MemoryItem

LOOK_EVERY_S = 3.0

_Generation = tuple[EngineId, int]
FirstOutput = Callable[[EngineId, int], str]
GpuBytes = Callable[[], Mapping[int, int | None]]


class Memories(Protocol):
    """Knows what engines hold. `look` is called in a thread, `told` by the event loop."""

    def look(self, engines: Iterable[EngineSnapshot]) -> None: ...

    def told(self, engines: Iterable[EngineSnapshot]) -> tuple[EngineSnapshot, ...]:
        """With what is known of each."""
        ...


@dataclass(frozen=True, slots=True)
class _Told:
    """What its log said while it loaded."""

    items: tuple[MemoryItem, ...]
    copied_bytes: int


@dataclass(frozen=True, slots=True)
class _Holding:
    """Of one generation. None is what cannot be read."""

    now_bytes: int | None = None
    peak_bytes: int | None = None
    vram_bytes: int | None = None
    vram_peak_bytes: int | None = None
    told: _Told | None = None  # None while it loads


class EngineMemories:
    """Implements Memories: each of its methods replaces or reads one dictionary at a time.

    `first_output` gives the beginning of the log of one start; `gpu_bytes` what each process has on NVIDIA's GPUs.
    """

    def __init__(self, clock: Clock, first_output: FirstOutput, gpu_bytes: GpuBytes = gpu_bytes_by_process) -> None:
        self._clock, self._first_output, self._gpu_bytes = clock, first_output, gpu_bytes
        self._looked_s: float | None = None
        self._known: dict[_Generation, _Holding] = {}

    def look(self, engines: Iterable[EngineSnapshot]) -> None:
        now_s = self._clock.monotonic_s()
        if self._looked_s is not None and now_s < self._looked_s + LOOK_EVERY_S:
            return
        self._looked_s = now_s
        running = [engine for engine in engines if engine.pid is not None]
        gpu = self._gpu_bytes() if running else {}
        self._known = {_key(engine): self._look_at(engine, gpu) for engine in running}

    def told(self, engines: Iterable[EngineSnapshot]) -> tuple[EngineSnapshot, ...]:
        known = self._known
        return tuple(_with(engine, known.get(_key(engine), _Holding())) for engine in engines)

    def _look_at(self, engine: EngineSnapshot, gpu: Mapping[int, int | None]) -> _Holding:
        assert engine.pid is not None
        before = self._known.get(_key(engine), _Holding())
        told = before.told or self._read_log(engine)
        family = with_descendants(frozenset((engine.pid,)))
        held, vram = held_by(family), sum_known(gpu, family)
        return _Holding(
            None if held is None else _needed(held, told),
            _most(before.peak_bytes, None if held is None else held.own_bytes if told is None else _needed(held, told)),
            vram,
            _most(before.vram_peak_bytes, vram),
            told,
        )

    def _read_log(self, engine: EngineSnapshot) -> _Told | None:
        if engine.state == "starting":
            return None
        log = self._first_output(engine.engine_id, engine.generation)
        return _Told(items_in_log(engine.kind, log), copied_bytes(log))


def sum_known(sizes: Mapping[int, int | None], pids: Iterable[int]) -> int | None:
    """Of these processes; None where none of them is listed, or one without a size."""
    mine = [sizes[pid] for pid in pids if pid in sizes]
    known = [size for size in mine if size is not None]
    return sum(known) if known and len(known) == len(mine) else None


def _key(engine: EngineSnapshot) -> _Generation:
    return engine.engine_id, engine.generation


def _needed(held: HeldMemory, told: _Told | None) -> int:
    """Without pages of the model's file that nobody reads any more; of them, no more than there are."""
    return held.total_bytes - min(held.shared_bytes, told.copied_bytes if told is not None else 0)


def _most(before: int | None, now: int | None) -> int | None:
    return max((size for size in (before, now) if size is not None), default=None)


def _with(engine: EngineSnapshot, holding: _Holding) -> EngineSnapshot:
    items = holding.told.items if holding.told is not None else ()
    return replace(
        engine,
        memory_bytes=holding.now_bytes,
        memory_peak_bytes=holding.peak_bytes,
        vram_bytes=holding.vram_bytes,
        vram_peak_bytes=holding.vram_peak_bytes,
        memory_items=items or items_in_load(engine.load),
    )

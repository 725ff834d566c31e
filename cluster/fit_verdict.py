"""Whether a need fits a machine: as it is, after others have gone, with less asked for, or never. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from cluster.fit import KvBits, Need, Workload, need_of
from inventory.catalog import ModelName
from inventory.sizes import format_bytes
from nodes.snapshot import EngineId

Answer = Literal["fits", "after evicting", "with changes", "never"]
LEAST_CONTEXT = 512

Needing = Callable[[Workload], Need]


@dataclass(frozen=True, slots=True)
class Resident:
    """An engine that has memory now. One that is not `movable` is never offered up: it is pinned, or has work."""

    engine_id: EngineId
    model: ModelName
    size_bytes: int
    movable: bool = True
    idle_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Room:
    """The pools that an engine kind would use on one machine: what they may hold, and who is there."""

    budget_bytes: int
    residents: tuple[Resident, ...] = ()

    @property
    def free_bytes(self) -> int:
        return self.budget_bytes - sum(resident.size_bytes for resident in self.residents)


@dataclass(frozen=True, slots=True)
class Change:
    """Less that would fit: the workload, its need, and the words for the difference."""

    workload: Workload
    need: Need
    what: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`short_bytes` is what is missing to take it as asked, beside all who are there; 0 where it fits."""

    answer: Answer
    need: Need
    room: Room
    short_bytes: int = 0
    evicted: tuple[Resident, ...] = ()
    changes: tuple[Change, ...] = ()

    @property
    def why(self) -> str:
        """One line for people."""
        need, budget = format_bytes(self.need.total_bytes), format_bytes(self.room.budget_bytes)
        free = f"{format_bytes(self.room.free_bytes)} free of {budget}"
        if self.answer == "fits":
            return f"needs {need}; {free}"
        weights = self.need.of("weights")
        if self.answer == "never" and weights > self.room.budget_bytes:
            return f"needs {need}: its weights alone, {format_bytes(weights)}, exceed the budget of {budget}"
        short = f"needs {need}, {format_bytes(self.short_bytes)} more than the {free}"
        if self.room.free_bytes < 0:
            over = format_bytes(-self.room.free_bytes)
            short = (
                f"needs {need}, and the engines that are there need {over} more than the budget of {budget} as it is"
            )
        if self.answer == "after evicting":
            return f"{short}; room is made by {', '.join(one.engine_id for one in self.evicted)}"
        if self.answer == "with changes":
            return f"{short}; would fit with {', or '.join(change.what for change in self.changes)}"
        return f"{short}, and nothing smaller that is of use fits either"


def judge(workload: Workload, room: Room, needing: Needing = need_of, kv_bits: Sequence[KvBits] = (16,)) -> Verdict:
    """`kv_bits` are the sizes that the engine can keep its cache in."""
    need = needing(workload)
    if need.total_bytes <= room.free_bytes:
        return Verdict("fits", need, room)
    short = need.total_bytes - room.free_bytes
    evicted = _evicted(short, room.residents)
    if evicted:
        return Verdict("after evicting", need, room, short, evicted)
    changes = tuple(_changes(workload, room, needing, kv_bits))
    return Verdict("with changes" if changes else "never", need, room, short, (), changes)


def _evicted(short_bytes: int, residents: Iterable[Resident]) -> tuple[Resident, ...]:
    """The longest idle first, no more than needed; nobody where even all would not do."""
    chosen: list[Resident] = []
    freed = 0
    for resident in sorted(residents, key=lambda one: (-one.idle_s, one.engine_id)):
        if freed >= short_bytes:
            break
        if resident.movable:
            chosen.append(resident)
            freed += resident.size_bytes
    if freed < short_bytes:
        return ()
    # The last may have made an earlier, smaller one needless.
    for resident in sorted(chosen, key=lambda one: one.size_bytes):
        if freed - resident.size_bytes >= short_bytes:
            chosen.remove(resident)
            freed -= resident.size_bytes
    return tuple(chosen)


def _changes(workload: Workload, room: Room, needing: Needing, kv_bits: Sequence[KvBits]) -> Iterable[Change]:
    """Each by itself where one is enough; with the smallest cache type where it is not."""
    ways = [replace(workload, kv_bits=bits) for bits in sorted(kv_bits, reverse=True) if bits < workload.kv_bits]
    for way in ways:
        if needing(way).total_bytes <= room.free_bytes:
            yield Change(way, needing(way), f"a KV cache of {way.kv_bits} bits")
            break
    found = False
    for way in (workload, *ways):
        beside = f" and a KV cache of {way.kv_bits} bits" if way is not workload else ""
        slots = largest(partial(_with_slots, way), workload.slots, 1, room, needing)
        if slots is not None and slots < workload.slots:
            fewer = replace(way, slots=slots)
            found = True
            yield Change(fewer, needing(fewer), f"{slots} instead of {workload.slots} at once{beside}")
        least = min(LEAST_CONTEXT, workload.context_tokens)
        context = largest(partial(_with_context, way), workload.context_tokens, least, room, needing)
        if context is not None and context < workload.context_tokens:
            shorter = replace(way, context_tokens=context)
            found = True
            yield Change(
                shorter, needing(shorter), f"a context of {context:,} instead of {workload.context_tokens:,}{beside}"
            )
        if found:
            return


def _with_slots(workload: Workload, slots: int) -> Workload:
    return replace(workload, slots=slots)


def _with_context(workload: Workload, context_tokens: int) -> Workload:
    return replace(workload, context_tokens=context_tokens)


def largest(
    make: Callable[[int], Workload], most: int, least: int, room: Room, needing: Needing = need_of
) -> int | None:
    """The largest number from `least` to `most` whose workload fits what is free; None where not even the least does.
    Needs only grow with it."""
    if needing(make(least)).total_bytes > room.free_bytes:
        return None
    low, high = least, most
    while low < high:
        middle = (low + high + 1) // 2
        if needing(make(middle)).total_bytes <= room.free_bytes:
            low = middle
        else:
            high = middle - 1
    return low

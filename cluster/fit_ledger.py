"""What engines were predicted to need, what they took, and what follows for the next prediction. Pure.

A start that took more than was predicted proves that the prediction was too low, and the next one is higher at once:
by what the engine's own account lays at the door of the model for models of that architecture, by the rest for all. A
start that took less proves little, since its requests may have been short. Only where several starts that served agree,
under engines that take their cache when they start, does the runtime go down, by what even the fullest left over.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cluster.fit import Need, Workload, need_of
from cluster.fit_engines import MIB, EngineMemory, memory_of
from inventory.catalog import ArtifactId, ModelName
from inventory.sizes import format_bytes
from nodes.snapshot import EngineId, EngineKind, MemoryItem, MemoryTerm, NodeId

STEP_BYTES = 8 * MIB  # figures move in steps, so that they stand still while peaks differ by little
STARTS_OF_WORKLOAD, STARTS_OF_BUILD = 3, 48
STARTS_TO_LOWER = 3
_OF_THE_MODEL = frozenset[MemoryTerm](("weights", "kv cache", "recurrent state"))
_PERHAPS_UNTOUCHED: tuple[MemoryTerm, ...] = ("compute buffers", "kept prompts", "safety")


@dataclass(frozen=True, slots=True)
class Build:
    """Whose overhead it is: one version of an engine on one node."""

    node_id: NodeId
    kind: EngineKind
    version: str
    accelerated: bool

    @property
    def takes_its_cache_at_start(self) -> bool:
        """All of it, written to, so that it is in memory (`make bench-fit`, at rest). mlx-lm's grows with requests."""
        return self.kind != "mlx"


@dataclass(frozen=True, slots=True)
class Start:
    """One generation of one engine. An engine that was forgotten numbers its starts anew, under another process."""

    engine_id: EngineId
    generation: int
    pid: int


@dataclass(frozen=True, slots=True)
class LedgerRow:
    build: Build
    start: Start
    model: ModelName
    artifact_id: ArtifactId
    workload: Workload
    predicted: tuple[MemoryItem, ...]  # a term each, with the corrections that were in force
    told: tuple[MemoryItem, ...]  # by the engine itself
    peak_bytes: int  # of all its processes, as the node measured it
    served: bool  # it has answered requests
    at_s: float  # wall time at which it was first seen ready

    @property
    def predicted_bytes(self) -> int:
        return sum(item.size_bytes for item in self.predicted)

    def predicted_for(self, terms: Iterable[MemoryTerm]) -> int:
        return sum(item.size_bytes for item in self.predicted if set(item.terms) <= set(terms))


_Needs = Sequence[tuple[LedgerRow, Need]]


@dataclass(frozen=True, slots=True)
class Correction:
    """`memory` is what to predict with. `shift_bytes` is its runtime's distance from the figure it came with."""

    memory: EngineMemory
    shift_bytes: int
    why: str

    @property
    def changes(self) -> bool:
        return bool(self.shift_bytes or self.memory.more_of)


def memory_for(kind: EngineKind, accelerated: bool, memories: Iterable[EngineMemory]) -> EngineMemory:
    """A node's own figures of a build, where its ledger has corrected them."""
    mine = (one for one in memories if (one.kind, one.accelerated) == (kind, accelerated))
    return next(mine, memory_of(kind, accelerated))


def corrected(build: Build, rows: Sequence[LedgerRow]) -> Correction:
    """From the rows of this build: every one of them is predicted high enough with it."""
    base = memory_of(build.kind, build.accelerated)
    needs = [(row, need_of(row.workload, base)) for row in rows]
    shift = _common(needs)
    if shift <= 0:
        shift = max(shift, _lowered(build, base, needs))
    shifted = replace(base, version=build.version, runtime_bytes=base.runtime_bytes + shift)
    more = _by_architecture([(row, need_of(row.workload, shifted)) for row in rows])
    starts = f"{len(rows)} start{'s' * (len(rows) != 1)} on this node"
    changes = [f"{format_bytes(abs(shift))} {'more' if shift > 0 else 'less'}"] if shift else []
    changes += [f"{format_bytes(size)} more for {name}" for name, size in more]
    if not changes:
        return Correction(base, 0, f"{starts} took no more than was predicted" if rows else "")
    memory = replace(shifted, origin=f"{base.origin}, corrected by {starts}", more_of=more)
    return Correction(memory, shift, f"{' and '.join(changes)}, by {starts}")


def _common(needs: _Needs) -> int:
    """What the start that was furthest above its prediction was short of, less what is its model's; 0 or below where
    none was short: so much could go without making one short, the safety left where it is."""
    return max((_stepped(_unexplained(row, need)) for row, need in needs), default=0)


def _unexplained(row: LedgerRow, need: Need) -> int:
    short = row.peak_bytes - need.total_bytes
    if short > 0:
        return short - min(short, _of_its_model(row, need))
    return min(0, short + need.of("safety"))


def _of_its_model(row: LedgerRow, need: Need) -> int:
    """How much more weights, cache and state took than was predicted, by the engine's own account."""
    model = (item for item in row.told if _OF_THE_MODEL & set(item.terms))
    return sum(max(0, item.size_bytes - sum(map(need.of, item.terms))) for item in model)


def _by_architecture(needs: _Needs) -> tuple[tuple[str, int], ...]:
    """What models of an architecture are still short of with what all get."""
    more: Counter[str] = Counter()
    for row, need in needs:
        name = row.workload.shape.architecture
        more[name] = max(more[name], _stepped(row.peak_bytes - need.total_bytes))
    return tuple(sorted((name, size) for name, size in more.items() if size > 0))


def _lowered(build: Build, base: EngineMemory, needs: _Needs) -> int:
    """0 or below: what every start that can tell has left over, at most half of the runtime. Experts that no request
    has asked for yet are not in memory, so that a mixture of them cannot tell."""
    over = [
        need.total_bytes - sum(map(need.of, _PERHAPS_UNTOUCHED)) - row.peak_bytes
        for row, need in needs
        if row.served and row.workload.shape.experts is None
    ]
    if not build.takes_its_cache_at_start or len(over) < STARTS_TO_LOWER:
        return 0
    left = min(max(0, min(over)), base.runtime_bytes // 2)
    return -(left // STEP_BYTES * STEP_BYTES)


def _stepped(size_bytes: int) -> int:
    """Up to the next step."""
    return -(-size_bytes // STEP_BYTES) * STEP_BYTES


def kept(rows: Iterable[LedgerRow]) -> tuple[LedgerRow, ...]:
    """The newest few of each engine as it was asked for, the one that took most among them, and not too many of each
    build: one that restarts often crowds out neither what is known of others nor its own worst."""
    of_workload: dict[tuple[Build, EngineId, ArtifactId, Workload], list[LedgerRow]] = {}
    for row in sorted(rows, key=_newest_first):
        of_workload.setdefault((row.build, row.start.engine_id, row.artifact_id, row.workload), []).append(row)
    found: list[LedgerRow] = []
    for starts in of_workload.values():
        fullest = max(starts, key=lambda row: row.peak_bytes)
        newest = [row for row in starts if row is not fullest][: STARTS_OF_WORKLOAD - 1]
        found += [fullest, *newest]
    of_build: Counter[Build] = Counter()
    remaining: list[LedgerRow] = []
    for row in sorted(found, key=_newest_first):
        of_build[row.build] += 1
        if of_build[row.build] <= STARTS_OF_BUILD:
            remaining.append(row)
    return tuple(remaining)


def _newest_first(row: LedgerRow) -> tuple[float, str, int, int]:
    return -row.at_s, row.start.engine_id, -row.start.generation, row.start.pid

"""How long models take until they serve, by where and as what they were started: what an ETA is made of."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from inventory.catalog import ArtifactId
from nodes.snapshot import EngineId, EngineKind, EngineSnapshot, NodeId

KEPT = 3  # of each key: the first load reads from a cold disk, and one that met a busy machine is an outlier


@dataclass(frozen=True, slots=True)
class LoadKey:
    node_id: NodeId
    artifact_id: ArtifactId
    kind: EngineKind


@dataclass(frozen=True, slots=True)
class LoadTime:
    """One start, from the engine's process to its first readiness, as its node measured it."""

    key: LoadKey
    seconds: float
    at_s: float  # wall time


def _forgets(_: LoadTime) -> None:
    """Where nothing outlives this process."""


class LoadBook:
    """The last load times of every key. `keep` is told of each that is added."""

    def __init__(self, known: Iterable[LoadTime] = (), keep: Callable[[LoadTime], None] = _forgets) -> None:
        self._keep = keep
        self._times: dict[LoadKey, list[float]] = {}
        self._noted: dict[tuple[NodeId, EngineId], tuple[int, float]] = {}  # the start whose time is in the book
        for time in sorted(known, key=lambda time: time.at_s):
            self._add(time)

    def note(self, node_id: NodeId, engine: EngineSnapshot, now_s: float) -> None:
        """An engine as its node reports it. Each start counts once; one that was forgotten numbers its starts anew."""
        if engine.state != "ready" or engine.ready_after_s is None:
            return
        start = (engine.generation, engine.since_s)
        if self._noted.get((node_id, engine.engine_id)) == start:
            return
        self._noted[node_id, engine.engine_id] = start
        time = LoadTime(LoadKey(node_id, engine.model.artifact_id, engine.kind), engine.ready_after_s, now_s)
        self._add(time)
        self._keep(time)

    def expected_s(self, key: LoadKey) -> float | None:
        """None where this was never started."""
        times = self._times.get(key)
        return median(times) if times else None

    def _add(self, time: LoadTime) -> None:
        self._times[time.key] = [*self._times.get(time.key, ()), time.seconds][-KEPT:]

"""Work that every node does for the cluster, wherever it runs: kinds of jobs, and who carries them out.

A job is a function from bytes to bytes, by name, so that both ends may be of different versions. On one machine it
runs in this process; in a cluster as a Ray task on each node (cluster.ray_jobs). Rooms above bring theirs by an entry
point of the group `potluck.jobs`, looked up on the machine that does the job. What engines answer is carried by the
gateway's relay instead (router.batches.relay_jobs): Ray is ten times slower with bytes.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, Protocol

import msgspec

from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.store import DamagedModelError, ModelStore
from nodes.snapshot import NodeId

JobKind = Literal["verify_models", "answer_line", "parse_document"]
GROUP = "potluck.jobs"


class UnknownJobError(Exception):
    """A kind of job that this version does not have. Reported as the outcome of the node that was asked."""


@dataclass(frozen=True, slots=True)
class JobPart:
    """What one node is to do."""

    node_id: NodeId
    argument: bytes = b""


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """What came of it: an answer, or the reason why there is none."""

    node_id: NodeId
    answer: bytes | None
    error: str | None


class JobFabric(Protocol):
    async def run(self, kind: JobKind, parts: Sequence[JobPart]) -> tuple[JobOutcome, ...]:
        """All parts at the same time, one outcome for each in their order. Raises nothing but JobFabricDownError."""
        ...


class JobFabricDownError(Exception):
    """Nobody takes jobs. The command that has one prints this, or does the part of its own machine itself."""


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """One model, all its artifacts, against its manifests. `problem` is None when they are what they were."""

    model: str
    size_bytes: int
    problem: str | None


class InProcessJobs:
    """JobFabric of a single machine."""

    def __init__(self, node_id: NodeId) -> None:
        self._node_id = node_id

    async def run(self, kind: JobKind, parts: Sequence[JobPart]) -> tuple[JobOutcome, ...]:
        return tuple([await self._run_part(kind, part) for part in parts])

    async def _run_part(self, kind: JobKind, part: JobPart) -> JobOutcome:
        if part.node_id != self._node_id:
            return JobOutcome(part.node_id, None, f"jobs run on {self._node_id} only: Ray is not running")
        try:
            return JobOutcome(part.node_id, await asyncio.to_thread(perform, kind, part.argument), None)
        except UnknownJobError as error:
            return JobOutcome(part.node_id, None, str(error))


def perform(kind: str, argument: bytes) -> bytes:
    """Do a part of a job on this machine. Blocks. Raises UnknownJobError."""
    own = _FUNCTIONS.get(kind)
    if own is not None:
        return own(argument)
    brought = _brought(kind)
    if brought is None:
        raise UnknownJobError(f"this node has no job {kind!r}; is it of an older version?")
    function: Callable[[bytes], bytes] = brought.load()
    return function(argument)


def is_job_kind(text: str) -> bool:
    """Of those that a node does by itself."""
    return text in _FUNCTIONS or _brought(text) is not None


@cache
def _brought(kind: str) -> EntryPoint | None:
    """By a room above this one. What is installed stays as it is while a process lives."""
    return next(iter(entry_points(group=GROUP, name=kind)), None)


def decode_checks(answer: bytes) -> tuple[ModelCheck, ...]:
    return msgspec.json.decode(answer, type=tuple[ModelCheck, ...])


def _verify_models(_argument: bytes) -> bytes:
    """Hash every byte of every model in this machine's store."""
    store = ModelStore(StatePaths.at().models, SystemClock())
    names = dict.fromkeys(model.name for model in store.list())
    checks = [_check(store, name) for name in names]
    broken = [ModelCheck(problem.path, 0, str(problem)) for problem in store.damaged()]
    return msgspec.json.encode([*checks, *broken])


def _check(store: ModelStore, name: str) -> ModelCheck:
    size_bytes = sum(model.artifact.size_bytes for model in store.artifacts(name))
    try:
        store.verify(name)
    except DamagedModelError as error:
        return ModelCheck(name, size_bytes, str(error))
    return ModelCheck(name, size_bytes, None)


_FUNCTIONS: Mapping[str, Callable[[bytes], bytes]] = {"verify_models": _verify_models}

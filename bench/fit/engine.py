"""An engine for one measurement, started and ended by the very code that a node uses."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from bench.fit.cells import Cell
from inventory.catalog import ArtifactId, ModelName, ModelRef, ModelShape
from inventory.clock import SystemClock
from inventory.kv_cache import cache_parts
from inventory.paths import StatePaths
from nodes import engine_log
from nodes.engine_body import EngineBody, LaunchPlan, Wanted, Workshop, log_file
from nodes.engine_envs import EngineEnvironment, installed
from nodes.engines.base import EngineAdapter
from nodes.engines.llamacpp import LlamaCppAdapter
from nodes.engines.mlx import MlxAdapter
from nodes.engines.vllm import VllmAdapter
from nodes.orders import EngineSpec
from nodes.snapshot import EngineEndpoint, EngineId, EngineKind

START_DEADLINE_S, GRACE_S, POLL_S = 600.0, 10.0, 0.2
ENGINE = EngineId("fit")
_RAISED = re.compile(r"\b[A-Z]\w*(?:Error|Exception): .+")
ADAPTERS: dict[EngineKind, EngineAdapter] = {
    adapter.kind: adapter for adapter in (LlamaCppAdapter(), MlxAdapter(), VllmAdapter())
}


class EngineFailedError(Exception):
    """An engine that did not start, or ended, or refused a request. The cell keeps its text, with the engine's word."""

    def __init__(self, what: str, last_word: str) -> None:
        super().__init__(f"{what}: {last_word}")
        self.what, self.last_word = what, last_word


@dataclass(frozen=True, slots=True)
class Bed:
    """Where engines of this bench run: state of their own, the environments of the checkout or the user."""

    paths: StatePaths
    adapters: Mapping[EngineKind, EngineAdapter]

    @classmethod
    def at(cls, root: Path) -> "Bed":
        return cls(StatePaths.at(root).ensure(), ADAPTERS)

    def environment(self, kind: EngineKind) -> EngineEnvironment | None:
        return next((found for found in installed(self.paths.engines) if found.kind == kind), None)


@dataclass(frozen=True, slots=True)
class Subject:
    """A cell, and what it takes to start an engine for it."""

    cell: Cell
    path: Path  # of the artifact, as an engine is given it
    shape: ModelShape
    environment: EngineEnvironment

    def plan(self, spec: EngineSpec) -> LaunchPlan:
        """In place of a node's launcher, which takes models from a store only."""
        cache, states = cache_parts(self.shape, spec.context_tokens, spec.slots)
        return LaunchPlan(str(self.path), self.environment.python, self.environment.version, False, cache, states)


@dataclass(frozen=True, slots=True)
class RunningEngine:
    pid: int
    endpoint: EngineEndpoint
    log: Path
    adapter: EngineAdapter


@asynccontextmanager
async def running(bed: Bed, subject: Subject) -> AsyncIterator[RunningEngine]:
    """Ready to serve on entry; ended with all its processes on exit, whatever happens in between."""
    workshop = Workshop(bed.paths, SystemClock(), bed.adapters, subject)
    cell, log = subject.cell, log_file(bed.paths, ENGINE)
    reference = ModelRef(ModelName(cell.model), "0" * 12, ArtifactId("0" * 64), None, None)
    spec = EngineSpec(ENGINE, cell.kind, reference, cell.context_tokens, cell.slots)
    log.unlink(missing_ok=True)
    body = EngineBody.spawn(workshop, Wanted(spec, 1), generation=os.getpid())
    ended = asyncio.ensure_future(body.exit_status())
    try:
        await _ready(body, ended, log)
        yield RunningEngine(body.lease.pid, body.endpoint, log, bed.adapters[cell.kind])
    finally:
        body.terminate()
        if not (await asyncio.wait({ended}, timeout=GRACE_S))[0]:
            body.kill()
        await ended
        body.reap()


async def _ready(body: EngineBody, ended: "asyncio.Future[int | None]", log: Path) -> None:
    probe, deadline = body.probe(), monotonic() + START_DEADLINE_S
    try:
        while not (await probe.started() and await probe.ready()):
            if ended.done():
                raise EngineFailedError(f"it ended with status {ended.result()}", last_word(log))
            if monotonic() > deadline:
                raise EngineFailedError(f"it was not ready within {START_DEADLINE_S:.0f} s", last_word(log))
            await asyncio.sleep(POLL_S)
    finally:
        await probe.close()


def last_word(log: Path) -> str:
    """Why it failed, else the last line of its log that names an error, else its last line."""
    lines = _tail(log)
    errors = [line for line in lines if "error" in line.lower() or "unsupported" in line.lower()]
    return raised(log) or (errors or lines or ["its log is empty"])[-1].strip()


def raised(log: Path) -> str | None:
    """The last exception in its log that does not send its reader to another one above."""
    found = [match[0] for line in _tail(log) if "above" not in line and (match := _RAISED.search(line))]
    return found[-1].strip() if found else None


def _tail(log: Path) -> list[str]:
    return engine_log.tail(log, lines=400, within_bytes=131_072).splitlines()

"""The node daemon: surveys the machine, supervises its engines, and keeps one NodeSnapshot that tells its own age."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from inventory.catalog import HeldModel
from inventory.clock import Clock
from inventory.hardware import Hardware
from inventory.memory_state import MemoryState, read_memory_state
from inventory.paths import StatePaths
from inventory.probe import Probe, survey
from inventory.store import ModelStore
from nodes import engine_log
from nodes.engine_body import Workshop, first_output, log_file
from nodes.engine_envs import installed
from nodes.engine_memory import EngineMemories, Memories
from nodes.engines.base import EngineAdapter
from nodes.identity import IdentityFiles, certificate_ends_s
from nodes.launching import NodeFacts, NodeLauncher
from nodes.leases import valid_engine_id
from nodes.lifecycle_values import LifecyclePolicy
from nodes.pressure_watch import PressureWatch
from nodes.pulls import ModelPulls
from nodes.rates_book import RatesBook
from nodes.ray_member import RayletPlan, RayMember, no_raylet
from nodes.snapshot import EngineId, EngineSnapshot, InstalledEngine, NodeId, NodeSnapshot
from nodes.supervisor import Supervisor, UnknownEngineError, supervising

SURVEY_LATE_S = 10.0
LOG_TAIL_BYTES = 256 * 1024

log = structlog.get_logger("potluck.node")


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What makes this node, composed by whoever starts it.

    `memories` and `look_at_memory` are for a machine that is only described; they ask this one otherwise. A node that
    is `loopback_only` never listens for others, even where its directory says that it has joined a cluster.
    """

    paths: StatePaths
    node_id: NodeId
    probes: Sequence[Probe]
    store: ModelStore
    adapters: Sequence[EngineAdapter]
    clock: Clock
    zone: str = "default"
    policy: LifecyclePolicy = field(default_factory=LifecyclePolicy)
    refresh_s: float = 1.0
    raylet: RayletPlan = no_raylet
    memories: Memories | None = None
    look_at_memory: Callable[[], MemoryState] = read_memory_state
    loopback_only: bool = False


@dataclass(frozen=True, slots=True)
class _Survey:
    """What a look at the machine found, and when."""

    hardware: Hardware
    installed: tuple[InstalledEngine, ...]
    models: tuple[HeldModel, ...]
    certificate_ends_s: float | None
    taken_s: float  # monotonic


class NodeDaemon:
    """`run` owns engines, probes and pulls; `snapshot`, `ray` and the supervisor's orders are for the node API."""

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._facts = NodeFacts()
        adapters = {adapter.kind: adapter for adapter in settings.adapters}
        launcher = NodeLauncher(settings.paths.engines, settings.store, adapters, self._facts)
        self._changed = asyncio.Event()
        watched = (settings.clock, self._facts, adapters, self._changed.set)
        self._pressure = PressureWatch(*watched, look=settings.look_at_memory)
        rates = RatesBook(settings.paths.rates)
        self._workshop = Workshop(settings.paths, settings.clock, adapters, launcher, self._pressure, rates)
        self.pulls = ModelPulls(settings.store, settings.paths.identity, settings.clock, self._changed.set)
        self._memories = settings.memories or EngineMemories(settings.clock, partial(first_output, settings.paths))
        self.ray = RayMember(settings.paths, settings.raylet, settings.clock)
        self._snapshot: NodeSnapshot | None = None
        self._supervisor: Supervisor | None = None

    @property
    def settings(self) -> NodeSettings:
        return self._settings

    @property
    def supervisor(self) -> Supervisor:
        assert self._supervisor is not None, "the node API serves while `run` does"
        return self._supervisor

    def snapshot(self) -> NodeSnapshot:
        """The last one: cached facts, no I/O."""
        assert self._snapshot is not None, "the node API serves once `ready` is set"
        return self._snapshot

    def tail(self, engine_id: EngineId | None, lines: int) -> str:
        """The end of an engine's log, or of this daemon's own. Raises UnknownEngineError."""
        paths = self._settings.paths
        if engine_id is None:
            return engine_log.tail(paths.logs / "node.log", lines, LOG_TAIL_BYTES)
        # A name from outside becomes a file's: only one that an engine could have may.
        if not valid_engine_id(engine_id) or not log_file(paths, engine_id).exists():
            raise UnknownEngineError(engine_id, tuple(engine.engine_id for engine in self.snapshot().engines))
        return engine_log.tail(log_file(paths, engine_id), lines, LOG_TAIL_BYTES)

    async def run(self, ready: asyncio.Event, stop: asyncio.Event) -> None:
        """Adopt, then survey and publish until `stop`. Engines are left running; see Supervisor.stop_all."""
        found = await asyncio.to_thread(self._look, ())
        await self._pressure.look()
        supervised = supervising(self._workshop, self._settings.policy, self._changed.set)
        async with self.pulls, supervised as supervisor, asyncio.TaskGroup() as tasks:
            self._supervisor = supervisor
            watching = tasks.create_task(self._pressure.run(supervisor, self._engines))
            self._publish(found)
            ready.set()
            looking = asyncio.create_task(self._look_again())
            while not stop.is_set():
                await _first_of(stop, self._changed, self._settings.refresh_s)
                self._changed.clear()
                if looking.done():
                    found = looking.result()
                    looking = asyncio.create_task(self._look_again())
                self._publish(found)
            looking.cancel()
            watching.cancel()

    def _engines(self) -> tuple[EngineSnapshot, ...]:
        return self._memories.told(self.supervisor.snapshots())

    def _publish(self, found: _Survey) -> None:
        settings = self._settings
        age_s = settings.clock.monotonic_s() - found.taken_s
        hardware = found.hardware
        if age_s > SURVEY_LATE_S:
            late = f"the probes have not answered for {age_s:.0f} s; these figures are that old"
            hardware = replace(hardware, warnings=(*hardware.warnings, late))
        self._snapshot = NodeSnapshot(
            node_id=settings.node_id,
            zone=settings.zone,
            taken_at_s=settings.clock.wall_s(),
            hardware=hardware,
            installed=found.installed,
            engines=self._engines(),
            models=found.models,
            pulls=self.pulls.snapshots(),
            pressure=self._pressure.snapshot(),
            certificate_ends_s=found.certificate_ends_s,
        )

    async def _look_again(self) -> _Survey:
        await asyncio.sleep(self._settings.refresh_s)
        return await asyncio.to_thread(self._look, self.supervisor.snapshots())

    def _look(self, engines: tuple[EngineSnapshot, ...]) -> _Survey:
        """In a thread: drivers and disks may take their time."""
        settings = self._settings
        self._memories.look(engines)
        hardware = survey(settings.probes, frozenset(engine.pid for engine in engines if engine.pid is not None))
        self._facts.hardware = hardware
        kinds = tuple(InstalledEngine(found.kind, found.version) for found in installed(settings.paths.engines))
        ends_s = certificate_ends_s(IdentityFiles.at(settings.paths.identity, "node"))
        return _Survey(hardware, kinds, tuple(settings.store.held()), ends_s, settings.clock.monotonic_s())


async def _first_of(stop: asyncio.Event, changed: asyncio.Event, timeout_s: float) -> None:
    waiters = [asyncio.ensure_future(event.wait()) for event in (stop, changed)]
    try:
        await asyncio.wait(waiters, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()

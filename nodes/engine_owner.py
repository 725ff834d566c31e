"""The one task that owns an engine: events in, `lifecycle.step`, effects out, and a snapshot for everybody else."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import structlog

from nodes import engine_log
from nodes.engine_body import CannotLaunchError, EngineBody, Wanted, Workshop, log_file
from nodes.engine_probe import EngineProbe
from nodes.leases import Lease
from nodes.lifecycle import adopt, next_wake_s, step
from nodes.lifecycle_values import (
    Drain,
    Effect,
    Ensure,
    Event,
    Exited,
    Kill,
    Lifecycle,
    LifecyclePolicy,
    Observed,
    Probed,
    Reap,
    Resume,
    Shed,
    Spawn,
    Stop,
    Terminate,
    Tick,
)
from nodes.orders import EngineSpec
from nodes.snapshot import EngineLoad, EngineSnapshot

FIRST_PROBE_S, LAST_PROBE_S = 0.05, 1.0
OBSERVE_S = 1.0
TRIM_EVERY = 60  # observations

log = structlog.get_logger("potluck.engines")


@dataclass(frozen=True, slots=True)
class Forget:
    """Stop, and end this task once nothing is left."""


Order = Wanted | Drain | Stop | Shed | Resume | Forget


class EngineOwner:
    """Only its own task writes its fields; `snapshot` reads them, and orders go through `tell`."""

    def __init__(
        self, workshop: Workshop, policy: LifecyclePolicy, wanted: Wanted, changed: Callable[[], None]
    ) -> None:
        self._workshop, self._policy, self._wanted, self._changed = workshop, policy, wanted, changed
        self._life = Lifecycle()
        self._body: EngineBody | None = None
        self._tried: EngineSpec | None = None  # what was started last
        self._load = EngineLoad()
        self._forget = False
        self._since_wall_s = workshop.clock.wall_s()
        self._inbox: asyncio.Queue[Order | Event | _Loaded] = asyncio.Queue()
        self._watchers: list[asyncio.Task[None]] = []

    @classmethod
    def adopting(
        cls, workshop: Workshop, policy: LifecyclePolicy, lease: Lease, changed: Callable[[], None]
    ) -> "EngineOwner":
        """The owner of an engine that a former daemon started and left running."""
        owner = cls(workshop, policy, Wanted(lease.spec, lease.config_revision), changed)
        owner._life = adopt(lease.generation, workshop.clock.monotonic_s(), policy)
        owner._body = EngineBody.adopt(workshop, lease)
        return owner

    def tell(self, order: Order) -> None:
        self._inbox.put_nowait(order)

    async def run(self) -> None:
        """Until the engine is forgotten. Cancelled, it leaves the engine running: its lease stays."""
        async with asyncio.TaskGroup() as tasks:
            try:
                if self._body is not None:
                    self._watch(tasks, self._body)
                while not (self._forget and self._life.phase == "stopped"):
                    self._advance(tasks, await self._next_event())
            finally:
                for watcher in self._watchers:
                    watcher.cancel()

    @property
    def wanted(self) -> EngineSpec:
        return self._wanted.spec

    @property
    def running(self) -> EngineSpec | None:
        """As what it runs, whatever is wanted; None where it has no process."""
        return self._body.lease.spec if self._body is not None else None

    @property
    def waits_for_memory(self) -> bool:
        return self._life.waits_for_memory

    async def trim(self) -> None:
        """Have it give back the caches that it can do without."""
        if self._body is None:
            return
        probe = self._body.probe()
        try:
            await probe.trim()
        finally:
            await probe.close()

    def snapshot(self) -> EngineSnapshot:
        """Cached facts: no I/O, whatever the engine does."""
        life, lease = self._life, self._body.lease if self._body is not None else None
        spec = lease.spec if lease is not None else self._wanted.spec
        return EngineSnapshot(
            engine_id=spec.engine_id,
            kind=spec.kind,
            engine_version=lease.engine_version if lease is not None else None,
            model=spec.model,
            state=life.phase,
            reason=life.reason,
            since_s=self._since_wall_s,
            generation=life.generation,
            config_revision=self._wanted.config_revision,
            pid=lease.pid if lease is not None else None,
            adopted=life.adopted,
            endpoint=self._body.endpoint if self._body is not None else None,
            context_tokens=spec.context_tokens,
            cache_tokens=spec.cache_tokens,
            load=replace(self._load, slots=self._load.slots or spec.slots),  # no engine kind reports its slots
            progress_age_s=self._progress_age_s(),
            ready_after_s=life.ready_after_s,
            rates=self._body.rates if self._body is not None else None,
        )

    async def _next_event(self) -> Event:
        """The next thing that matters: from the inbox, or the passing of a deadline."""
        wake_s = next_wake_s(self._life, self._policy)
        wait_s = None if wake_s is None else max(0.0, wake_s - self._workshop.clock.monotonic_s())
        try:
            message = await asyncio.wait_for(self._inbox.get(), wait_s)
        except TimeoutError:
            return Tick()
        return self._understood(message)

    def _understood(self, message: "Order | Event | _Loaded") -> Event:
        if isinstance(message, Wanted):
            self._wanted, self._forget = message, False
            running = self.running or self._tried
            return Ensure(changed=running is not None and running != message.spec)
        if isinstance(message, Forget):
            self._forget = True
            return Stop()
        if isinstance(message, _Loaded):
            self._load = message.load or self._load
            return message.event
        return message

    def _advance(self, tasks: asyncio.TaskGroup, event: Event) -> None:
        before = self._life
        self._life, effects = step(before, event, self._workshop.clock.monotonic_s(), self._policy)
        if (self._life.phase, self._life.generation) != (before.phase, before.generation):
            self._since_wall_s = self._workshop.clock.wall_s()
            log.info(
                "engine_state",
                engine=self._wanted.spec.engine_id,
                state=self._life.phase,
                reason=self._life.reason,
                generation=self._life.generation,
            )
            self._changed()
        for effect in effects:
            self._perform(tasks, effect)

    def _perform(self, tasks: asyncio.TaskGroup, effect: Effect) -> None:
        match effect:
            case Spawn(generation):
                self._spawn(tasks, generation)
            case Terminate():
                if self._body is not None:
                    self._body.terminate()
            case Kill():
                if self._body is not None:
                    self._body.kill()
            case Reap():
                self._reap()

    def _spawn(self, tasks: asyncio.TaskGroup, generation: int) -> None:
        self._tried = self._wanted.spec
        if (why := self._workshop.gate.why_not(self._wanted.spec)) is not None:
            self._inbox.put_nowait(Exited(generation, why, no_room=True))
            return
        try:
            self._body = EngineBody.spawn(self._workshop, self._wanted, generation)
        except (CannotLaunchError, OSError) as error:
            self._inbox.put_nowait(Exited(generation, str(error)))
            return
        self._watch(tasks, self._body)

    def _watch(self, tasks: asyncio.TaskGroup, body: EngineBody) -> None:
        asking = tasks.create_task(self._ask(body))
        self._watchers = [asking, tasks.create_task(self._await_exit(body, asking))]

    def _reap(self) -> None:
        if self._body is not None:
            self._body.reap()
        self._body, self._load = None, EngineLoad()

    async def _await_exit(self, body: EngineBody, asking: "asyncio.Task[None]") -> None:
        status = await body.exit_status()
        asking.cancel()
        taken = status is not None and status == self._workshop.adapter(body.lease.spec).port_taken_exit_code
        self._inbox.put_nowait(Exited(body.lease.generation, self._how_it_ended(body, status), taken))

    def _how_it_ended(self, body: EngineBody, status: int | None) -> str:
        if status is None:
            return "it ended (its status is unknown: another daemon had started it)"
        if status < 0:
            return f"killed by signal {-status}"
        log = log_file(self._workshop.paths, body.lease.engine_id)
        why = engine_log.why_it_ended(log, since=body.lease.log_offset or 0) if status else ""
        return f"exited with status {status}" + (f": {why[:300]}" if why else "")

    async def _ask(self, body: EngineBody) -> None:
        """Readiness first, often; then what it is doing, once a second."""
        probe, generation = body.probe(), body.lease.generation
        try:
            await self._ask_until_started(probe, generation)
            self._inbox.put_nowait(Probed(generation, started=True, ready=True, measured_s=await self._measure(body)))
            for turn in _forever():
                load = await probe.observe()
                self._inbox.put_nowait(_Loaded(_observed(generation, load), load))
                if turn % TRIM_EVERY == 0:
                    body.trim_log()
                await asyncio.sleep(OBSERVE_S)
        finally:
            await probe.close()

    async def _ask_until_started(self, probe: EngineProbe, generation: int) -> None:
        pause_s = FIRST_PROBE_S
        while not (started := await probe.started()) or not await probe.ready():
            self._inbox.put_nowait(Probed(generation, started, ready=False))
            await asyncio.sleep(pause_s)
            pause_s = min(LAST_PROBE_S, pause_s * 1.3)

    async def _measure(self, body: EngineBody) -> float:
        """How long it took. One that was found running may have requests, and is left alone."""
        if self._life.adopted or body.look_for_rates():
            return 0.0
        clock, generation = self._workshop.clock, body.lease.generation
        began_s = clock.monotonic_s()
        self._inbox.put_nowait(Probed(generation, started=True, ready=False, measured_s=0.0))
        await body.measure()
        return clock.monotonic_s() - began_s

    def _progress_age_s(self) -> float | None:
        activity = self._life.activity
        if activity.busy_since_s is None:
            return None
        since_s = activity.busy_since_s if activity.moved_s is None else activity.moved_s
        return max(0.0, self._workshop.clock.monotonic_s() - since_s)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """An observation with the figures it was made from."""

    event: Observed
    load: EngineLoad | None


def _forever() -> Iterator[int]:
    turn = 0
    while True:
        turn += 1
        yield turn


def _observed(generation: int, load: EngineLoad | None) -> Observed:
    if load is None:
        return Observed(generation, answered=False)
    counters = [load.steps_total, load.prompt_tokens_total, load.output_tokens_total]
    known = [counter for counter in counters if counter is not None]
    return Observed(generation, answered=True, running=load.running, progress=sum(known) if known else None)

"""All engines of this node: one owner task each, orders in, snapshots out, and adoption of those found running."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import structlog

from nodes.engine_body import CannotLaunchError, EngineBody, Wanted, Workshop
from nodes.engine_owner import EngineOwner, Forget
from nodes.epoch import EpochGuard
from nodes.leases import Lease, read_leases, valid_engine_id
from nodes.lifecycle_values import Drain, LifecyclePolicy, Resume, Shed
from nodes.orders import Authority, EngineSpec
from nodes.process_identity import is_alive
from nodes.snapshot import EngineId, EngineSnapshot

log = structlog.get_logger("potluck.supervisor")


class UnknownEngineError(Exception):
    """No such engine on this node. The node API answers 404."""

    def __init__(self, engine_id: EngineId, known: tuple[EngineId, ...]) -> None:
        super().__init__(f"no engine {engine_id} here; there is {', '.join(known) or 'none'}")
        self.engine_id = engine_id


class Supervisor:
    """Made by `supervising`. Orders return once they are accepted; what becomes of them shows in `snapshots`."""

    def __init__(
        self, workshop: Workshop, policy: LifecyclePolicy, tasks: asyncio.TaskGroup, changed: Callable[[], None]
    ) -> None:
        self._workshop, self._policy, self._tasks, self._changed = workshop, policy, tasks, changed
        self._guard = EpochGuard(workshop.paths.run / "authority.json")
        self._owners: dict[EngineId, EngineOwner] = {}
        self._running: dict[EngineId, asyncio.Task[None]] = {}

    def adopt(self) -> None:
        """Take over every engine that a former daemon left running; clear away the leases of the dead."""
        for lease in read_leases(self._workshop.paths.leases):
            if is_alive(lease.identity) and lease.spec.kind in self._workshop.adapters:
                self._take_over(lease)
            elif not is_alive(lease.identity):
                log.info("lease_of_the_dead", engine=lease.engine_id, pid=lease.pid)
                EngineBody.adopt(self._workshop, lease).reap()

    def ensure(self, spec: EngineSpec, authority: Authority) -> None:
        """It should run with exactly these settings. Raises StaleOrderError, CannotLaunchError, EngineOptionError."""
        if not valid_engine_id(spec.engine_id):
            raise CannotLaunchError(spec.engine_id, "an engine id has lower-case letters, digits, dots and dashes only")
        if spec.slots < 1 or spec.context_tokens < 1:
            raise CannotLaunchError(spec.engine_id, "slots and context tokens must be at least 1")
        if spec.cache_tokens and spec.cache_tokens < spec.context_tokens:
            raise CannotLaunchError(spec.engine_id, "the shared cache must hold one request's context")
        self._guard.admit(authority)
        self._workshop.adapter(spec).check_options(spec.options)
        self._workshop.launcher.plan(spec)
        wanted = Wanted(spec, authority.config_revision)
        owner = self._owners.get(spec.engine_id)
        if owner is None or self._running[spec.engine_id].done():
            owner = EngineOwner(self._workshop, self._policy, wanted, self._changed)
            self._own(spec.engine_id, owner)
        owner.tell(wanted)

    def admit(self, authority: Authority) -> None:
        """For orders that concern no engine. Raises StaleOrderError."""
        self._guard.admit(authority)

    def drain(self, engine_id: EngineId, authority: Authority) -> None:
        """Finish what it has, then stop; it stays listed. Raises StaleOrderError, UnknownEngineError."""
        self._guard.admit(authority)
        self._owner(engine_id).tell(Drain())

    def stop(self, engine_id: EngineId, authority: Authority) -> None:
        """Stop it without waiting for requests, and forget it. Raises StaleOrderError, UnknownEngineError."""
        self._guard.admit(authority)
        self._owner(engine_id).tell(Forget())

    def shed(self, engine_id: EngineId, why: str, at_once: bool) -> None:
        """It leaves for want of memory, and stays listed: `resume` brings it back. One that is gone is no error."""
        if engine_id in self._owners:
            self._owners[engine_id].tell(Shed(why, at_once))

    def resume(self, engine_id: EngineId) -> None:
        if engine_id in self._owners:
            self._owners[engine_id].tell(Resume())

    async def trim(self, engine_ids: Iterable[EngineId]) -> None:
        """Have them give back caches that they can do without. Returns once each was asked."""
        owners = [self._owners[engine_id] for engine_id in engine_ids if engine_id in self._owners]
        await asyncio.gather(*(owner.trim() for owner in owners))

    def wanted(self) -> dict[EngineId, EngineSpec]:
        return {engine_id: owner.wanted for engine_id, owner in self._owners.items()}

    def running(self) -> dict[EngineId, EngineSpec]:
        """Those that have a process."""
        return {key: spec for key, owner in self._owners.items() if (spec := owner.running) is not None}

    def waiting_for_memory(self) -> list[EngineId]:
        return sorted(engine_id for engine_id, owner in self._owners.items() if owner.waits_for_memory)

    async def stop_all(self) -> None:
        """Returns when no engine of this node runs any more."""
        for owner in self._owners.values():
            owner.tell(Forget())
        await asyncio.gather(*self._running.values())

    def snapshots(self) -> tuple[EngineSnapshot, ...]:
        return tuple(owner.snapshot() for _, owner in sorted(self._owners.items()))

    def leave(self) -> None:
        """End the owners and leave their engines running, for the next daemon to adopt."""
        for task in self._running.values():
            task.cancel()

    def _take_over(self, lease: Lease) -> None:
        log.info("engine_adopted", engine=lease.engine_id, pid=lease.pid, generation=lease.generation)
        self._own(lease.engine_id, EngineOwner.adopting(self._workshop, self._policy, lease, self._changed))

    def _own(self, engine_id: EngineId, owner: EngineOwner) -> None:
        self._owners[engine_id] = owner
        self._running[engine_id] = self._tasks.create_task(owner.run(), name=f"engine {engine_id}")
        self._running[engine_id].add_done_callback(lambda _: self._disown(engine_id, owner))

    def _disown(self, engine_id: EngineId, owner: EngineOwner) -> None:
        if self._owners.get(engine_id) is owner:
            del self._owners[engine_id], self._running[engine_id]
            self._changed()

    def _owner(self, engine_id: EngineId) -> EngineOwner:
        try:
            return self._owners[engine_id]
        except KeyError:
            raise UnknownEngineError(engine_id, tuple(sorted(self._owners))) from None


@asynccontextmanager
async def supervising(
    workshop: Workshop, policy: LifecyclePolicy, changed: Callable[[], None]
) -> AsyncIterator[Supervisor]:
    """Run a supervisor for the length of the block. `changed` is called at each change of an engine's state.

    At the end engines are left running, unless `stop_all` was awaited before.
    """
    async with asyncio.TaskGroup() as tasks:
        supervisor = Supervisor(workshop, policy, tasks, changed)
        supervisor.adopt()
        try:
            yield supervisor
        finally:
            supervisor.leave()

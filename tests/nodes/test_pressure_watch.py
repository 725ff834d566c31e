"""The daemon's eye on memory, with real engines: who is let in, who has to go, and who comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from inventory.hardware import GIB, Hardware, MemoryPool, PoolId
from inventory.memory_state import MemoryState
from inventory.probe import UNKNOWN_HOST
from nodes.launching import NodeFacts
from nodes.leases import reap
from nodes.orders import Authority, EngineSpec
from nodes.pressure_watch import CALM_S, PressureWatch
from nodes.snapshot import EngineId, EngineSnapshot
from nodes.supervisor import Supervisor, supervising
from support.engines import FaultAdapter
from support.manual_clock import ManualClock
from support.nodes import QUICK, spec, until, workshop

CHIEF = Authority(epoch=3, config_revision=1)
RAM = MemoryPool(PoolId("ram"), "ram", 24 * GIB, 4 * GIB, int(1.2 * GIB))


@dataclass
class Scene:
    supervisor: Supervisor
    watch: PressureWatch
    clock: ManualClock
    left: list[int]  # what the kernel has left, in MiB, from the next look on
    looks: list[int]  # what each look found

    def engine(self, engine_id: str) -> EngineSnapshot | None:
        return next((one for one in self.supervisor.snapshots() if one.engine_id == engine_id), None)

    async def until(self, engine_id: str, state: str) -> EngineSnapshot:
        def look() -> EngineSnapshot | None:
            engine = self.engine(engine_id)
            return engine if engine is not None and engine.state == state else None

        return await until(look, f"{engine_id} is {state}: {self.supervisor.snapshots()}")

    async def a_look(self) -> None:
        """Until what is left was seen, and acted on."""
        seen = len(self.looks)
        await until(lambda: len(self.looks) > seen + 1, "two looks")

    async def until_level(self, level: str) -> None:
        await until(lambda: self.watch.snapshot().level == level, f"the level is {level}: {self.watch.snapshot()}")


@asynccontextmanager
async def scene(root: Path, left_mib: int = 20_000) -> AsyncIterator[Scene]:
    clock, left, looks = ManualClock(), [left_mib], list[int]()
    facts = NodeFacts(Hardware(UNKNOWN_HOST, (RAM,), (), None, None))

    def look() -> MemoryState:
        looks.append(left[0])
        return MemoryState(left[0] << 20, RAM.total_bytes)

    watch = PressureWatch(clock, facts, {"llamacpp": FaultAdapter()}, lambda: None, look)
    await watch.look()
    try:
        async with supervising(replace(workshop(root), gate=watch), QUICK, lambda: None) as supervisor:
            watching = asyncio.create_task(watch.run(supervisor, supervisor.snapshots))
            yield Scene(supervisor, watch, clock, left, looks)
            watching.cancel()
    finally:
        reap(root / "leases", grace_s=0.2)


def needing(engine_id: str, gib: int, on_demand: bool = False) -> EngineSpec:
    return replace(spec(engine_id), need_bytes=gib * GIB, on_demand=on_demand)


async def test_at_the_last_moment_the_least_valuable_goes_alone_and_comes_back_when_there_is_room(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as on:
        on.supervisor.ensure(needing("always", 1), CHIEF)
        on.supervisor.ensure(needing("some-times", 2, on_demand=True), CHIEF)
        for name in ("always", "some-times"):
            await on.until(name, "ready")
        on.left[0] = 100
        gone = await on.until("some-times", "backoff")
        assert gone.reason == "stopped for memory: 100.0 MiB available of 24.0 GiB; back when 2.6 GiB are free"
        assert (gone.pid, on.watch.snapshot().level) == (None, "critical")

        on.left[0] = 20_000
        on.clock.advance(1.0)
        await on.a_look()
        on.clock.advance(6.0)
        await on.until_level("calm")
        on.supervisor.ensure(needing("some-times", 2, on_demand=True), CHIEF)  # as the head does
        assert (await on.until("some-times", "backoff")).generation == 1
        on.supervisor.ensure(needing("newcomer", 1), CHIEF)
        assert (await on.until("newcomer", "backoff")).reason == "waits for memory: there was too little 0 s ago"
        on.clock.advance(CALM_S)
        back = await on.until("some-times", "ready")
        await on.until("newcomer", "ready")
        stayed = on.engine("always")

    assert back.generation == 2
    assert stayed is not None
    assert (stayed.state, stayed.generation) == ("ready", 1)


async def test_a_short_machine_lets_its_least_valuable_engine_finish_first(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        on.supervisor.ensure(needing("always", 1), CHIEF)
        await on.until("always", "ready")
        on.left[0] = 200
        await on.until_level("short")
        on.clock.advance(4.0)
        gone = await on.until("always", "backoff")

    assert gone.reason.startswith("stopped for memory: 200.0 MiB available")


async def test_a_tight_machine_keeps_what_runs_and_starts_nothing(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        on.supervisor.ensure(needing("always", 1), CHIEF)
        await on.until("always", "ready")
        on.left[0] = 500
        await on.until_level("tight")
        on.supervisor.ensure(needing("newcomer", 1), CHIEF)
        waits = await on.until("newcomer", "backoff")
        on.clock.advance(600.0)
        stays = await on.until("always", "ready")

    assert waits.reason == "waits for memory: 500.0 MiB available of 24.0 GiB"
    assert stays.generation == 1


async def test_an_engine_that_does_not_fit_beside_what_runs_waits_until_it_does(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        on.supervisor.ensure(needing("first", 12), CHIEF)
        await on.until("first", "ready")
        on.supervisor.ensure(needing("second", 12), CHIEF)
        waits = await on.until("second", "backoff")
        assert waits.reason == "waits for memory: needs 12.0 GiB, and 7.4 GiB are free for it"
        on.supervisor.stop(EngineId("first"), CHIEF)
        on.clock.advance(CALM_S)
        await on.until("second", "ready")


async def test_a_need_that_was_computed_anew_restarts_nothing(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        on.supervisor.ensure(needing("first", 1), CHIEF)
        await on.until("first", "ready")
        on.supervisor.ensure(needing("first", 2, on_demand=True), replace(CHIEF, config_revision=2))
        await until(lambda: on.supervisor.snapshots()[0].config_revision == 2, "the order arrived")

        assert on.supervisor.snapshots()[0].state == "ready"
        assert on.supervisor.wanted()[EngineId("first")].on_demand

"""The daemon's eye on main memory: it looks about once a second, says how short the machine is, lets engines in or not,
and gives up the least valuable one before the kernel would choose."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from inventory.clock import Clock
from inventory.hardware import MemoryPool, default_reserve
from inventory.memory_state import MemoryState, read_memory_state
from nodes.engines.base import EngineAdapter
from nodes.launching import NodeFacts
from nodes.orders import EngineSpec
from nodes.pressure import Pressure, Thresholds, judged, margin, read
from nodes.pressure_room import Room, promised_bytes, shed_reason, why_not
from nodes.pressure_shed import Holding, Shedding, Step, next_step
from nodes.snapshot import EngineId, EngineKind, EngineSnapshot, PressureSnapshot
from nodes.supervisor import Supervisor

LOOK_S, LOOK_CLOSELY_S = 1.0, 0.1
CALM_S = 10.0  # before anything starts where memory was short

Engines = Callable[[], Sequence[EngineSnapshot]]

log = structlog.get_logger("potluck.node.pressure")


class PressureWatch:
    """A gate for engines that start (`why_not`), and a loop that sheds (`run`). Everything but the look itself happens
    on the event loop."""

    def __init__(
        self,
        clock: Clock,
        facts: NodeFacts,
        adapters: Mapping[EngineKind, EngineAdapter],
        changed: Callable[[], None],
        look: Callable[[], MemoryState] = read_memory_state,
    ) -> None:
        self._clock, self._facts, self._adapters, self._changed, self._look = clock, facts, adapters, changed, look
        self._thresholds = Thresholds()
        self._state: MemoryState | None = None
        self._pressure = Pressure(since_s=-CALM_S)
        self._since_wall_s = clock.wall_s()
        self._shedding = Shedding()
        self._used_s: dict[EngineId, float] = {}
        self._peaks: dict[EngineId, tuple[EngineSpec, int]] = {}  # of each spec that ran here
        self._supervisor: Supervisor | None = None

    def snapshot(self) -> PressureSnapshot:
        return PressureSnapshot(self._pressure.level, self._pressure.reason, self._since_wall_s)

    def why_not(self, spec: EngineSpec) -> str | None:
        room = self._room(spec.engine_id)
        if room is None:
            return None
        calm_s = self._clock.monotonic_s() - self._pressure.since_s
        if self._pressure.level == "calm" and calm_s < CALM_S:
            return f"waits for memory: there was too little {calm_s:.0f} s ago"
        return why_not(spec, self._peak_bytes(spec), room)

    async def look(self) -> None:
        try:
            self._note(await asyncio.to_thread(self._look))
        except OSError as error:  # the next look may fare better; until then the last one holds
            log.warning("memory_cannot_be_read", error=str(error))

    async def run(self, supervisor: Supervisor, engines: Engines) -> None:
        """Until cancelled."""
        self._supervisor = supervisor
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self.look()
                step = self._decide(engines())
                if step is not None and step.kind == "trim":
                    log.info("caches_given_back", engines=step.engines, reason=step.why)
                    tasks.create_task(supervisor.trim(step.engines))  # an engine that is slow to answer delays no look
                elif step is not None:
                    self._shed(supervisor, step)
                else:
                    self._resume_one(supervisor)
                await asyncio.sleep(LOOK_CLOSELY_S if self._is_near() else LOOK_S)

    def _note(self, state: MemoryState) -> None:
        self._state, before = state, self._pressure
        reading, told = read(state, self._reserved_bytes(), self._thresholds)
        self._pressure = judged(before, reading, told, self._clock.monotonic_s(), self._thresholds)
        if self._pressure.level != before.level:
            self._since_wall_s = self._clock.wall_s()
            log.info("memory_pressure", now=self._pressure.level, before=before.level, reason=told)
            self._changed()

    def _decide(self, engines: Sequence[EngineSnapshot]) -> Step | None:
        now_s = self._clock.monotonic_s()
        self._remember(engines, now_s)
        holdings = [self._holding(engine) for engine in engines if engine.pid is not None]
        self._shedding, step = next_step(holdings, self._pressure, self._shedding, now_s)
        return step

    def _shed(self, supervisor: Supervisor, step: Step) -> None:
        (engine_id,) = step.engines
        spec = supervisor.wanted()[engine_id]
        room = self._room(engine_id)
        why = shed_reason(spec, self._peak_bytes(spec), step.why, room.kept_bytes if room is not None else 0)
        log.warning("engine_shed", engine=engine_id, how=step.kind, reason=why)
        supervisor.shed(engine_id, why, at_once=step.kind == "stop")

    def _resume_one(self, supervisor: Supervisor) -> None:
        """The most valuable that fits. One at a look: the next one finds it counted."""
        wanted = supervisor.wanted()
        waiting = [wanted[engine_id] for engine_id in supervisor.waiting_for_memory()]
        for spec in sorted(waiting, key=lambda spec: (spec.on_demand, spec.engine_id)):
            if self.why_not(spec) is None:
                log.info("engine_resumes", engine=spec.engine_id)
                supervisor.resume(spec.engine_id)
                return

    def _remember(self, engines: Sequence[EngineSnapshot], now_s: float) -> None:
        assert self._supervisor is not None
        running = self._supervisor.running()
        there = {engine.engine_id for engine in engines}
        self._used_s = {key: used_s for key, used_s in self._used_s.items() if key in there}
        self._peaks = {key: peak for key, peak in self._peaks.items() if key in there}
        for engine in engines:
            if _is_busy(engine) or engine.state != "ready" or engine.engine_id not in self._used_s:
                self._used_s[engine.engine_id] = now_s
            spec = running.get(engine.engine_id)
            if spec is not None and engine.memory_peak_bytes is not None:
                peak_bytes = max(engine.memory_peak_bytes, self._peak_bytes(spec))
                self._peaks[engine.engine_id] = (spec, peak_bytes)

    def _holding(self, engine: EngineSnapshot) -> Holding:
        assert self._supervisor is not None
        spec = self._supervisor.wanted()[engine.engine_id]
        return Holding(
            engine_id=engine.engine_id,
            state=engine.state,
            on_demand=spec.on_demand,
            busy=_is_busy(engine),
            used_s=self._used_s[engine.engine_id],
            held_bytes=engine.memory_bytes or 0,
            gives_back=self._adapters[engine.kind].paths.trim is not None,
        )

    def _room(self, for_engine: EngineId) -> Room | None:
        """None before the first look."""
        if self._state is None:
            return None
        pools = self._pools()
        running = self._supervisor.running() if self._supervisor is not None else {}
        return Room(
            pressure=self._pressure,
            available_bytes=self._state.available_bytes,
            main=next((pool for pool in pools if pool.kind != "vram"), None),
            has_vram=any(pool.kind == "vram" for pool in pools),
            promised_bytes=promised_bytes(spec for key, spec in running.items() if key != for_engine),
        )

    def _peak_bytes(self, spec: EngineSpec) -> int:
        known, peak_bytes = self._peaks.get(spec.engine_id, (spec, 0))
        return peak_bytes if known == spec else 0

    def _reserved_bytes(self) -> int:
        assert self._state is not None
        main = next((pool for pool in self._pools() if pool.kind != "vram"), None)
        return main.reserved_bytes if main is not None else default_reserve(self._state.total_bytes)

    def _pools(self) -> tuple[MemoryPool, ...]:
        return self._facts.hardware.pools if self._facts.hardware is not None else ()

    def _is_near(self) -> bool:
        """The lines are near enough to look closely."""
        state = self._state
        if state is None:
            return False
        return state.available_bytes < margin(state.total_bytes, self._reserved_bytes(), self._thresholds)


def _is_busy(engine: EngineSnapshot) -> bool:
    return bool(engine.load.running or engine.load.waiting)

"""A node's parts for tests: a state directory, a launcher of fault engines, and waiting with a deadline."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TypeVar

from inventory.catalog import ArtifactId, ModelName, ModelRef
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from nodes.engine_body import CannotLaunchError, LaunchPlan, Workshop
from nodes.lifecycle_values import LifecyclePolicy
from nodes.orders import EngineSpec
from nodes.snapshot import EngineId, EngineSnapshot
from nodes.supervisor import Supervisor
from support.engines import FaultAdapter

Found = TypeVar("Found")

QUICK = LifecyclePolicy(
    start_deadline_s=20.0,
    drain_deadline_s=5.0,
    stop_grace_s=0.3,
    stall_deadline_s=1.2,
    first_progress_deadline_s=1.2,
    backoff_first_s=0.01,
    backoff_last_s=0.05,
    quarantine_deaths=3,
)


@dataclass
class FaultLauncher:
    """Every model but those in `missing` lies on this node."""

    missing: set[str] = field(default_factory=set)

    def plan(self, spec: EngineSpec) -> LaunchPlan:
        if spec.model.name in self.missing:
            raise CannotLaunchError(spec.engine_id, f"this node does not hold {spec.model}")
        return LaunchPlan("/no/such/model.gguf", "python3", "1.0-fault", accelerated=False)


def workshop(root: Path, launcher: FaultLauncher | None = None) -> Workshop:
    paths = StatePaths.at(root).ensure()
    return Workshop(paths, SystemClock(), {"llamacpp": FaultAdapter()}, launcher or FaultLauncher())


def spec(engine_id: str = "fault-1", slots: int = 2, model: str = "fault-model", **faults: str) -> EngineSpec:
    """An engine whose faults are its options: `spec(die_at_start_s="0.1")`. An empty value is a flag."""
    reference = ModelRef(ModelName(model), "0123456789ab", ArtifactId("ab" * 32), None, None)
    options = tuple((name.replace("_", "-"), value) for name, value in faults.items())
    return EngineSpec(EngineId(engine_id), "llamacpp", reference, context_tokens=512, slots=slots, options=options)


async def until(look: Callable[[], Found | None], what: str, deadline_s: float = 60.0) -> Found:
    """Look again and again until there is something. The deadline ends a failure; it times nothing."""
    end = monotonic() + deadline_s
    while not (found := look()):
        assert monotonic() < end, f"not within {deadline_s} s: {what}"
        await asyncio.sleep(0.01)
    return found


async def until_state(supervisor: Supervisor, state: str, generation: int | None = None) -> EngineSnapshot:
    """The only engine, once it is in this state (and of this generation)."""

    def look() -> EngineSnapshot | None:
        for engine in supervisor.snapshots():
            if engine.state == state and generation in (None, engine.generation):
                return engine
        return None

    return await until(look, f"state {state}: {supervisor.snapshots()}")


def pid_of(engine: EngineSnapshot) -> int:
    assert engine.pid is not None, f"{engine.engine_id} has no process: {engine}"
    return engine.pid


def port_of(engine: EngineSnapshot) -> int:
    assert engine.endpoint is not None, f"{engine.engine_id} has no port: {engine}"
    return engine.endpoint.port

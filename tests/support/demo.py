"""The demo's machines for tests: as a real head sees them, and as a cluster that was started by the command."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cluster.demo import artifacts_for, demo_config
from inventory.clock import SystemClock
from inventory.demo_machines import DEMO_MACHINES
from inventory.described import DescribedMachine, DescribedProbe
from inventory.described_models import write_records
from inventory.paths import StatePaths
from inventory.probe import survey
from inventory.store import ModelStore
from nodes.snapshot import InstalledEngine, NodeId, NodeSnapshot
from support.fake_node import FakeNode
from support.machine import Machine, Running, eventually


def demo_nodes(paths: StatePaths) -> Sequence[FakeNode]:
    """Obedient machines of the demo's hardware that hold what the demo's hold."""
    return [FakeNode(_snapshot(paths, machine)) for machine in DEMO_MACHINES]


def _snapshot(paths: StatePaths, machine: DescribedMachine) -> NodeSnapshot:
    section = demo_config().config.nodes[machine.name]
    store = paths.root / "stores" / machine.name
    for kind in section.engines:
        write_records(store, artifacts_for(kind), created_s=1_800_000_000)
    return NodeSnapshot(
        node_id=NodeId(machine.name),
        zone="default",
        taken_at_s=SystemClock().wall_s(),
        hardware=survey([DescribedProbe(machine, section.memory.reserve)], frozenset()),
        installed=tuple(InstalledEngine(kind, "simulated") for kind in section.engines),
        engines=(),
        models=ModelStore(store, SystemClock()).held(),
    )


@contextmanager
def running_demo(state_dir: Path, *options: str) -> Iterator[tuple[Machine, Running]]:
    """Started and stopped as a user does. The machine is one whose commands see the demo; nothing is left of it."""
    outside = Machine(state_dir)
    running = outside.up("--demo", *options)
    inside = Machine(state_dir / "demo")
    try:
        yield inside, running
    finally:
        outside.potluck("down", "--demo")
    # A process that has given up its lock may still be on its way out.
    eventually(lambda: not outside.processes(), 30, f"no process is left: {outside.processes()}")
    assert not inside.state_dir.exists()

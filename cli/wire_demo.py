"""The composition root of `potluck up --demo`: the real head, gateway and node daemons over described machines.

This is the one place where anything simulated meets the product: other probes, adapters that start simulated engines,
predicted memory in place of measured. Nothing here listens beyond loopback, and no machine can join.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cli.process import Service
from cli.wire import gateway_settings, model_store, stop_engines, supervised
from inventory.clock import SystemClock
from inventory.demo_machines import DEMO_MACHINES
from inventory.described import NOTICE, DescribedMachine
from inventory.paths import DEMO_MARK, StatePaths

if TYPE_CHECKING:
    from cluster.config import NodeSection
    from nodes.engines.base import EngineAdapter
    from nodes.role_lock import ServiceRole
    from nodes.service import NodeSettings
    from nodes.snapshot import EngineKind, EngineSnapshot, MemoryItem, NodeSnapshot
    from router.settings import GatewaySettings


def machine_paths(paths: StatePaths, machine: DescribedMachine) -> StatePaths:
    """Where a machine of the demo keeps its state: the head's own where a head does, the others below it."""
    return paths if machine is DEMO_MACHINES[0] else StatePaths(paths.root / "machines" / machine.name)


def every_place(paths: StatePaths) -> tuple[StatePaths, ...]:
    """The state directories of all machines, the head's first."""
    return tuple(machine_paths(paths, machine) for machine in DEMO_MACHINES)


def lay_out(paths: StatePaths) -> None:
    """Everything that lies on the three machines before they start."""
    from cluster.demo import DEMO_TEXT, artifacts_for
    from inventory.described_models import write_records
    from inventory.secret_files import write_secret
    from nodes.simulated import install_simulated

    told = f"{NOTICE}\nMade by `potluck up --demo`; `potluck down --demo` deletes this folder.\n"
    for place in every_place(paths):
        (place.ensure().root / DEMO_MARK).write_text(told)
    write_secret(paths.config_file, DEMO_TEXT)
    now_s = int(SystemClock().wall_s())
    for machine in DEMO_MACHINES:
        own = machine_paths(paths, machine)
        for kind in section_of(machine).engines:
            install_simulated(own.engines, kind, machine)
            write_records(own.models, artifacts_for(kind), now_s)


def section_of(machine: DescribedMachine) -> "NodeSection":
    """As the demo comes: whatever is applied to its head later, the machine stays what it is."""
    from cluster.demo import demo_config

    return demo_config().config.nodes[machine.name]


def node_settings(paths: StatePaths, machine: DescribedMachine) -> "NodeSettings":
    """`paths` are the demo's. A real daemon that takes one machine for another, and its engines with it."""
    from cluster.fit_engines import memory_of
    from inventory.described import DescribedProbe
    from inventory.probe import survey
    from nodes.service import NodeSettings
    from nodes.simulated import SimulatedMemories
    from nodes.snapshot import NodeId, NodeSnapshot

    own, section = machine_paths(paths, machine), section_of(machine)
    probe = DescribedProbe(machine, section.memory.reserve)
    hardware, held = survey([probe], frozenset()), model_store(own).held()
    bare = NodeSnapshot(NodeId(machine.name), "default", 0.0, hardware, (), (), held)
    runtime = {kind: memory_of(kind, accelerated=False).runtime_bytes for kind in section.engines}
    memories = SimulatedMemories(machine, partial(_predicted, bare), runtime)
    return NodeSettings(
        paths=own,
        node_id=NodeId(machine.name),
        probes=(probe,),
        store=model_store(own),
        adapters=tuple(_adapter(kind, machine) for kind in section.engines),
        clock=SystemClock(),
        memories=memories,
        look_at_memory=memories.state,
        loopback_only=True,
    )


def _adapter(kind: "EngineKind", machine: DescribedMachine) -> "EngineAdapter":
    from cluster.demo import artifacts_for
    from nodes.engines.llamacpp import LlamaCppAdapter
    from nodes.engines.mlx import MlxAdapter
    from nodes.engines.simulated import SimulatedAdapter
    from nodes.engines.simulated_pace import pace_of
    from nodes.engines.vllm import VllmAdapter

    adapters: tuple[EngineAdapter, ...] = (LlamaCppAdapter(), VllmAdapter(), MlxAdapter())
    real = next(adapter for adapter in adapters if adapter.kind == kind)
    paces = {str(model.name): pace_of(model.spec, machine.pace) for model in artifacts_for(kind)}
    return SimulatedAdapter(real, paces, machine.name)


def _predicted(machine: "NodeSnapshot", engine: "EngineSnapshot") -> "Sequence[MemoryItem]":
    """As the head predicts it."""
    from cluster.fit_running import running_need
    from nodes.snapshot import MemoryItem

    need = running_need(engine, machine, ())
    return [MemoryItem((item.term,), item.size_bytes) for item in need.items] if need is not None else []


def node_service(paths: StatePaths, name: str) -> Service:
    from nodes.service import run_node

    return partial(run_node, node_settings(paths, next(one for one in DEMO_MACHINES if one.name == name)))


def gateway_service(paths: StatePaths, host: str | None, port: int | None) -> Service:
    from router.service import run_gateway

    return partial(run_gateway, door_of(paths, host, port))


def door_of(paths: StatePaths, host: str | None, port: int | None) -> "GatewaySettings":
    """Without the one to a network, whatever cluster.yaml says."""
    return replace(gateway_settings(paths, host, port), lan=None)


def head_service(paths: StatePaths) -> Service:
    from cluster.local_link import LocalLink
    from cluster.service import HeadSettings, run_head
    from nodes.snapshot import NodeId

    links = tuple(
        LocalLink(NodeId(machine.name), machine_paths(paths, machine).node_socket, reason=NOTICE)
        for machine in DEMO_MACHINES
    )
    return partial(run_head, HeadSettings(paths, loopback_only=True), links, SystemClock())


def supervisor_service(paths: StatePaths, host: str | None, port: int | None, traffic: bool) -> Service:
    """Gateway, head and three nodes, ended in this order; with `traffic`, somebody who asks now and then."""
    from cli.demo_traffic import ask_now_and_then
    from cli.supervise import Child, ChildSupervisor, service_argv

    clock, place = SystemClock(), ("--state-dir", str(paths.root))
    door = (*(("--host", host) if host else ()), *(("--port", str(port)) if port is not None else ()))

    def child(role: "ServiceRole", own: StatePaths, grace_s: float, *arguments: str) -> Child:
        return Child(role, service_argv("demo-service", role, *place, *arguments), own.logs / f"{role}.log", grace_s)

    machines = [(machine, machine_paths(paths, machine)) for machine in DEMO_MACHINES]
    services = supervised(
        paths,
        ChildSupervisor(child("gateway", paths, 35.0, *door), clock),
        ChildSupervisor(child("head", paths, 10.0), clock),
        *(
            ChildSupervisor(child("node", own, 30.0, "--machine", machine.name), clock, partial(stop_engines, own))
            for machine, own in machines
        ),
    )

    async def run(stop: asyncio.Event) -> None:
        asking = asyncio.create_task(ask_now_and_then(paths)) if traffic else None
        try:
            await services(stop)
        finally:
            if asking is not None:
                asking.cancel()

    return run
